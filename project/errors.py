"""The answer to whatever nobody has caught, wherever it was raised: a view, middleware, the session, an error page.

Django turns what is raised into an answer before any middleware further out can see it, and asks `handler500` for
it each time: this is the one place that every request without its database passes.
"""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponseBase
from django.views import defaults
from structlog.contextvars import bind_contextvars

from servers.admin.outage import outage_page
from servers.api.answers import try_again
from servers.api.outage import answer_to
from servers.outage import drop_connections, is_outage

CONSOLE = "/admin/"


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer the error that is being handled."""
    error = sys.exc_info()[1]
    if not isinstance(error, Exception) or not is_outage(error):
        return defaults.server_error(request)
    bind_contextvars(reason=str(error))
    drop_connections()
    if request.path.startswith(CONSOLE):
        return try_again(outage_page(request))
    return answer_to(error, request)
