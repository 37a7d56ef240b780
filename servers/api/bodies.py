"""What a request says of its body before that is read."""

from __future__ import annotations

from django.http import HttpRequest

LIMIT_BYTES = 114688  # nova.conf and keystone.conf [oslo_middleware] max_request_body_size


def length_of(request: HttpRequest) -> int:
    """Return how many bytes the body has, as far as it says so."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return int(length[:20]) if length.isdecimal() else 0


def media_type(request: HttpRequest) -> str:
    """Return the body's media type as it was written, without parameters; empty where it is not said."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip()
