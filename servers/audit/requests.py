"""Middleware that lets every request act as nobody but whoever it proves to be."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from structlog.contextvars import get_contextvars

from servers.acting import Actor, acting

CONSOLE = "/admin/"


class Acting:
    """Behind TrustedProxies: where a request comes from, and by which way, is known before it is known who asks.

    Who asks is said by whoever has checked what was shown: the token of REST, the session of the console.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        door = "console" if request.path_info.startswith(CONSOLE) else "rest"
        address = request.META.get("REMOTE_ADDR", "")
        with acting(
            Actor(door=door, source=address, request_id=str(get_contextvars().get("request_id", "")))
        ):
            return self.get_response(request)
