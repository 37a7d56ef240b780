"""What all of Glance's addresses have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from servers.api.answers import json_answer
from servers.api.authentication import authenticate, unauthenticated
from servers.api.faults import status_of
from servers.conductor.context import new_request_id
from servers.errors import Missing, Refusal, Unauthenticated
from servers.policy import Context

log = structlog.get_logger(__name__)


@method_decorator(csrf_exempt, name="dispatch")
class GlanceView(View):
    """An address behind `/image`; refusals are text, as Glance's are."""

    context: Context

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request_id = new_request_id()
        try:
            answer = self.answer(request, request_id, *args, **kwargs)
        except Unauthenticated:
            answer = unauthenticated()
        except Refusal as refused:
            answer = refusal(status_of(type(refused)), str(refused))
        except Exception:
            log.exception("image.failed", request_id=request_id, path=request.path)
            answer = refusal(500, "The server has either erred or is incapable of performing the request.")
        answer["x-openstack-request-id"] = request_id
        return answer

    def answer(self, request: HttpRequest, request_id: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the answer to a request with a valid token. Raises Refusal."""
        context = authenticate(request, request_id)
        if context is None:
            raise Unauthenticated
        self.context = context
        handler: Callable[..., HttpResponseBase] | None = getattr(self, (request.method or "").lower(), None)
        if handler is None:
            return refusal(405, "This method is not allowed for the requested URL.")
        return handler(request, *args, **kwargs)


def refusal(code: int, message: str) -> HttpResponse:
    """Return a refusal that both people and clients can read."""
    return json_answer({"message": message, "code": code, "title": message}, code)


class NothingHere(GlanceView):
    """Any other address."""

    def answer(self, request: HttpRequest, request_id: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        raise Missing
