"""The one place where a password or a secret is checked: refused unchecked, or hashed in a lane and counted."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password, verify_password
from django.http import HttpRequest

from servers.acting import acting
from servers.logins import limits
from servers.logins.hashing import KNOWN, STRANGERS
from servers.logins.second_factor import Step, after_password
from servers.models import User

HASHED_ANEW = "the same password, hashed anew"


def check_password(
    request: HttpRequest | None, name: str, user: User | None, password: str, *, alone: bool = False
) -> bool:
    """Return whether a user may log in and this is the password; what is not is a failure, and is counted.

    `name` is under what it counts; `user` is None for a name that nobody has, and it takes as long. `alone` says that
    no code will be asked for: then nobody is let in who has a second factor, or must have one. Raises
    TooManyFailedLogins and LoginsBusy, which are said before it is known whether the password is right.
    """
    is_all = user is None or after_password(user) is Step.NONE
    may_log_in = user is not None and user.may_log_in and (is_all or not alone)
    kept = user.password if user else None
    right, is_outdated = check_secret(request, name, kept, password, may_log_in=may_log_in, is_all=is_all)
    if user and right and is_outdated:
        user.password = make_password(password)
        with acting(who=user.name, who_id=user.pk, reason=HASHED_ANEW):
            User.objects.filter(pk=user.pk, password=kept).update(password=user.password)
    return right


def check_secret(
    request: HttpRequest | None,
    name: str,
    kept: str | None,
    secret: str,
    *,
    may_log_in: bool,
    is_all: bool = True,
) -> tuple[bool, bool]:
    """Return whether this is the secret of which the hash is kept, and whether that hash is outdated.

    `kept` is None for a secret that nobody has; `is_all` says that nothing is asked besides. What is right of somebody
    who may not log in is a failure like any other. Raises TooManyFailedLogins, LoginsBusy.
    """
    attempt = limits.begin(request, name)
    lane = KNOWN if limits.is_known(attempt.address) else STRANGERS
    with lane.place():
        right, is_outdated = verify_password(secret, kept or UNUSABLE_PASSWORD_PREFIX)
    if right and may_log_in:
        limits.succeeded(attempt, is_all=is_all)
        return True, is_outdated
    limits.failed(attempt)
    return False, False


class SessionBackend(ModelBackend):
    """What Django asks with each request of a session."""

    def user_can_authenticate(self, user: Any) -> bool:
        return isinstance(user, User) and user.may_log_in

    def get_user(self, user_id: Any) -> User | None:
        """Return who a session is of, None when he may not log in; what a session carries of him is read with him."""
        user = User.objects.select_related("domain").filter(pk=user_id).first()
        return user if user is not None and user.may_log_in else None


class PasswordBackend(SessionBackend):
    """What Django asks at the console's login, and with each request of a session that began there."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **given: Any,
    ) -> User | None:
        """Return the user who may log in with this password, or None. Raises TooManyFailedLogins, LoginsBusy."""
        if username is None or password is None:
            return None
        user = User.objects.select_related("domain").filter(name=username).first()
        return user if check_password(request, username, user, password) else None
