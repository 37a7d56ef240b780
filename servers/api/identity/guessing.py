"""Guessing is slowed down: axes counts failures by name and address, at this door together with the console's."""

from __future__ import annotations

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import authenticate as check_password
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest

from servers.api.identity.door import KeystoneError, unauthorized

MAX_NAME = 255
"""As long as axes can keep; nobody's name is longer."""


def by_name(request: HttpRequest, name: str, password: str) -> AbstractBaseUser | None:
    """Return the active user with this name and password, or None; that is a failure, and is counted.

    It takes as long for a name that nobody has. Raises KeystoneError after too many failures.
    """
    found = check_password(request, username=name[:MAX_NAME], password=password)
    if was_locked_out(request):
        raise too_many()
    return found


def require_allowed(request: HttpRequest, name: str) -> None:
    """Do nothing unless there were too many failures with this name. Raises KeystoneError."""
    if not AxesProxyHandler.is_allowed(request, {"username": name[:MAX_NAME]}):
        raise too_many()


def failed(request: HttpRequest, name: str) -> KeystoneError:
    """Count a failure and return what the client is told."""
    user_login_failed.send(sender=__name__, credentials={"username": name[:MAX_NAME]}, request=request)
    return too_many() if was_locked_out(request) else unauthorized()


def succeeded(request: HttpRequest, name: str) -> None:
    """Forget the failures with this name from the caller's address."""
    address = request.axes_ip_address  # type: ignore[attr-defined]  # axes has put it there
    AxesProxyHandler.reset_attempts(username=name[:MAX_NAME], ip_address=address)


def too_many() -> KeystoneError:
    """Return the error for everybody who has failed too often, whether or not there is such a user."""
    return unauthorized("There were too many failed logins; try again later.")


def was_locked_out(request: HttpRequest) -> bool:
    """Return whether axes has just locked the caller out; its middleware is not to answer with a page."""
    locked = getattr(request, "axes_locked_out", False)
    request.axes_locked_out = False  # type: ignore[attr-defined]
    return bool(locked)
