"""Who may log in with a password, and whose session goes on: Django's backend, which looks at the domain too."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend

from servers.models.identity import User


class Logins(ModelBackend):
    """Names and passwords, at every way in."""

    def user_can_authenticate(self, user: Any) -> bool:
        return isinstance(user, User) and user.may_log_in

    def get_user(self, user_id: Any) -> User | None:
        """Return who a session is of, None when he may not log in; what a session carries of him is read with him."""
        user = User.objects.select_related("domain").filter(pk=user_id).first()
        return user if user is not None and user.may_log_in else None
