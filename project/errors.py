"""The answers to what no view has met: errors that nobody has caught, and what the web server refuses.

Django turns what is raised into an answer before any middleware further out can see it, and asks `handler500` for
it each time: this is the one place that every request without its database passes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase
from django.views import defaults
from rest_framework.exceptions import APIException
from structlog.contextvars import bind_contextvars

from servers.admin.outage import NOT_NOW, outage_page
from servers.admin.sessions import ended_before
from servers.api.answers import try_again
from servers.api.outage import answer_to
from servers.errors import DatabaseUnavailable, ServiceUnavailable
from servers.outage import drop_connections, is_outage
from servers.web.limits import REFUSED

CONSOLE = "/admin/"
STALE_FORM = (
    "This form was made before you last logged in, or by another site. Load the page anew, and send it again."
)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer the error that is being handled."""
    error = sys.exc_info()[1]
    if isinstance(error, ServiceUnavailable) and request.path_info.startswith(CONSOLE):
        bind_contextvars(code=error.code)
        return try_again(outage_page(request, str(error), title=NOT_NOW, changed_nothing=True))
    if not isinstance(error, Exception) or not is_outage(error):
        return defaults.server_error(request)
    bind_contextvars(reason=str(error))
    drop_connections()
    if request.path_info.startswith(CONSOLE):
        return try_again(outage_page(request, str(DatabaseUnavailable())))
    return answer_to(error, request)


def form_not_believed(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer a form of the console without the token that shows where it was made; Django logs the reason.

    Where there is no session any more there is no token either: that is what is said then.
    """
    ended = ended_before(request)
    if ended is not None:
        return ended
    status = HTTPStatus.FORBIDDEN
    return outage_page(request, STALE_FORM, title="Not accepted", status=status, changed_nothing=True)


class RefusedByServer:
    """Middleware that answers what the web server has refused, in the form of whoever was asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        code = request.META.get(REFUSED)
        return self.get_response(request) if code is None else refusal(request, HTTPStatus(code))


def refusal(request: HttpRequest, status: HTTPStatus) -> HttpResponseBase:
    """Return the answer to a request that the web server has not read to its end."""
    if request.path_info.startswith(CONSOLE):
        said = f"{status.description or status.phrase}."
        return outage_page(request, said, title=status.phrase, status=status, changed_nothing=True)
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return answer_to(RequestDataTooBig(), request)
    return answer_to(NotRead(status), request)


class NotRead(APIException):
    """A request that the web server has not read to its end."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(f"{status.phrase}.")
        self.status_code = status
        self.code = status.name.lower()
