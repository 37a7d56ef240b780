"""Middleware round every request: it gets an id, is counted, and when it is refused it is one line of the log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from servers.engine.accepting.request_context import REQUEST_ID, new_request_id
from servers.errors import printable
from servers.monitoring.line_limit import LineLimit
from servers.monitoring.metrics import count_request

log = structlog.get_logger(__name__)

OF_STRANGERS = LineLimit(30)
"""How many refusals of those who are not known are lines of the log, of each status in a minute."""
PATH_CHARS = 300
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
PROBE = "/readyz"
"""Its 503 refuses nothing; that it says something else than before is logged where it is found out."""
CONSOLE = {"admin": "console"}
NO_ROUTE = "none"
"""For a request that was answered before anybody looked where its address leads."""
GLOBAL_ID = re.compile(r"req-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What OpenStack's clients send as X-Openstack-Request-Id: the id of what somebody does with several services."""


class Requests:
    """The outermost middleware: it sees every answer, whoever has made it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        clear_contextvars()  # a thread serves one request after the other
        note_left_out()
        name(request)
        try:
            answer = measured(request, self.get_response(request))
            duration_s = time.monotonic() - began
            method = request.method if request.method in METHODS else OTHER
            route = route_of(request)
            count_request(str(method), route, answer.status_code, duration_s)
            if answer.status_code >= 400 and route != PROBE and not is_logged(answer.status_code):
                note_refusal(request, str(method), answer.status_code, duration_s)
            return answer
        finally:
            clear_contextvars()


def measured(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """Return the answer with its length where that is known, without which no connection is kept; to HEAD no more."""
    if isinstance(answer, HttpResponse) and answer.status_code not in {204, 304}:
        answer.headers.setdefault("Content-Length", str(len(answer.content)))
        if request.method == "HEAD":
            answer.content = b""
    return answer


def name(request: HttpRequest) -> None:
    """Give the request its id, which every line of the log has from here to the driver of a host."""
    request.META[REQUEST_ID] = new_request_id()
    bind_contextvars(request_id=request.META[REQUEST_ID])
    asked = request.META.get("HTTP_X_OPENSTACK_REQUEST_ID", "")
    if GLOBAL_ID.fullmatch(asked):
        bind_contextvars(global_request_id=asked)


def is_logged(status: int) -> bool:
    """Return whether there is a line already: an error that nobody has foreseen has one, with its traceback."""
    return status == 500 and "code" not in get_contextvars()


def note_refusal(request: HttpRequest, method: str, status: int, duration_s: float) -> None:
    """Log a request that was refused: where and how, by whom and why as far as that is known, and nothing it has said.

    Of those by nobody that is known only so many, or whoever asks for wrong addresses would fill the disk.
    """
    if "user" not in get_contextvars() and not OF_STRANGERS.allows(str(status)):
        return
    write = log.warning if status >= 500 else log.info
    write(
        "request.refused",
        service=service_of(request),
        method=method,
        path=printable(request.path, PATH_CHARS),
        status=status,
        duration_s=round(duration_s, 3),
    )


def note_left_out() -> None:
    """Log how many refusals were not, by status; before the first request behind a minute in which there were some."""
    for status, number in OF_STRANGERS.left_out().items():
        log.warning("request.refused.left_out", status=int(status), number=number)


def service_of(request: HttpRequest) -> str:
    """Return which service was asked: that of the view, or the first part of the address's pattern."""
    view = getattr(request.resolver_match, "func", None)
    kind = getattr(view, "cls", None) or getattr(view, "view_class", None)
    first = route_of(request).strip("/").partition("/")[0]
    return getattr(kind, "service", "") or CONSOLE.get(first, first)


def route_of(request: HttpRequest) -> str:
    """Return the pattern of the request's address: one of as many as there are in the URL configuration."""
    match = request.resolver_match
    return template(match.route) if match is not None else NO_ROUTE


@cache
def template(route: str) -> str:
    """Return a route of Django as people write it: `/v2.1/servers/{server_id}`."""
    text = route.replace(r"(?P<minor>\.1)?", ".1")
    text = re.sub(r"\(\?:\(\?P<\w+>[^()]*\)/\)\?", "", text)  # a project's id, which may be left out
    text = re.sub(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>", lambda found: f"{{{found[1] or found[2]}}}", text)
    text = re.sub(r"\^|/\?\\Z|\\Z|\$", "", text)
    return f"/{text.lstrip('/')}"
