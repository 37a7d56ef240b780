"""The browser console: Django's admin over everything that is kept."""

from servers.admin import access, fleet, records

__all__ = ["access", "fleet", "records"]
