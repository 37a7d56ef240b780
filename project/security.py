"""Middleware: what every answer tells a browser not to do, and at which address it is asked at all."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urljoin

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import APIException
from structlog.contextvars import bind_contextvars

from project.logs import REASON_CHARS
from servers.admin.outage import outage_page
from servers.api.outage import answer_to
from servers.errors import printable

PROBES = frozenset({"/healthz", "/readyz"})
"""Asked by whoever watches over processes, by whatever name, and answered with one word."""
PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
HTML = "text/html"
STRANGE_HOST = "This is not one of the names under which Gantry is reached."


class Headers:
    """Middleware that gives each answer its headers of security, whoever has made it.

    What says nothing of caching is kept by nobody: most answers depend on a token, and some hold a secret.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.content_policy = content_policy(settings.SECURE_CSP)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self.get_response(request)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("Cache-Control", "no-store")
        if answer.headers.get("Content-Type", "").startswith(HTML):
            answer.headers["Content-Security-Policy"] = self.content_policy
            answer.headers["Permissions-Policy"] = PERMISSIONS
        return answer


def content_policy(directives: dict[str, list[str]]) -> str:
    """Return the value of Content-Security-Policy."""
    return "; ".join(" ".join([name, *sources]) for name, sources in directives.items())


class RightAddress:
    """Middleware that lets in who asks under a name of ours, and sends who comes through a proxy by http to https.

    The console looks at the name always, REST where ALLOWED_HOSTS was set: its links are made from PUBLIC_URL alone. Who
    has come by no proxy is on this machine, or has a tunnel to it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return strange_host(request) or to_https(request) or self.get_response(request)


def strange_host(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer to a request under a name that is not ours, in the form of whoever was asked."""
    console = request.path_info.startswith("/admin")
    if request.path_info in PROBES or not (console or settings.HOST_IS_CHECKED_BY_REST):
        return None
    try:
        request.get_host()
    except DisallowedHost as error:
        bind_contextvars(reason=printable(str(error), REASON_CHARS))
        if console:
            status = HTTPStatus.BAD_REQUEST
            return outage_page(
                request, STRANGE_HOST, title=status.phrase, status=status, changed_nothing=True
            )
        return answer_to(StrangeHost(STRANGE_HOST), request)
    return None


def to_https(request: HttpRequest) -> HttpResponseBase | None:
    """Return where to go instead, for who has come through a proxy without https."""
    by_proxy = "HTTP_X_FORWARDED_PROTO" in request.META
    if not settings.HTTPS_IS_REQUIRED or not by_proxy or request.is_secure():
        return None
    answer = HttpResponse(status=HTTPStatus.PERMANENT_REDIRECT)
    answer.headers["Location"] = urljoin(settings.PUBLIC_URL, request.get_full_path())
    return answer


class StrangeHost(APIException):
    """A request under a name that is not ours."""

    status_code = HTTPStatus.BAD_REQUEST
    code = "strange_host"
