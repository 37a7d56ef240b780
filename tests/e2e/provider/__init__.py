"""A real OpenID provider in a process of its own: django-oauth-toolkit, with people and their groups."""
