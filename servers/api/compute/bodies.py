"""What a request's body says, or why it says nothing (Nova contract E.3)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from servers.api.faults import Malformed, MediaTypeUnknown
from servers.errors import Missing

LIMIT_BYTES = 114688  # nova.conf [oslo_middleware] max_request_body_size
MEDIA_TYPES = {"application/json", "application/vnd.openstack.compute+json", "text/plain"}


def is_too_large(request: HttpRequest) -> bool:
    """Return whether the body is larger than Nova takes."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return length.isdecimal() and int(length[:20]) > LIMIT_BYTES


def require_media_type(request: HttpRequest) -> None:
    """Do nothing for a type that Nova takes, or none. Raises MediaTypeUnknown; upper case is unknown."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type and media_type not in MEDIA_TYPES:
        raise MediaTypeUnknown


def action_of(body: Any) -> tuple[str, Any]:
    """Return the only key of an action request, and its value. Raises Malformed, or Missing for what has no keys."""
    if isinstance(body, dict | list | str) and len(body) != 1:
        raise Malformed
    if not isinstance(body, dict):
        raise Missing
    return next(iter(body.items()))
