"""What Nova asks of a body before anything is looked up in it (Nova contract E.3)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from servers.api.bodies import media_type
from servers.api.faults import Malformed, MediaTypeUnknown
from servers.errors import Missing

MEDIA_TYPES = {"", "application/json", "application/vnd.openstack.compute+json", "text/plain"}


def require_media_type(request: HttpRequest) -> None:
    """Do nothing for a type that Nova takes, or none. Raises MediaTypeUnknown; upper case is unknown."""
    if media_type(request) not in MEDIA_TYPES:
        raise MediaTypeUnknown


def action_of(body: Any) -> tuple[str, Any]:
    """Return the only key of an action request, and its value. Raises Malformed, or Missing for what has no keys."""
    if isinstance(body, dict | list | str) and len(body) != 1:
        raise Malformed
    if not isinstance(body, dict):
        raise Missing
    return next(iter(body.items()))
