"""What all of Glance's addresses have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from servers.api.answers import json_answer
from servers.api.authentication import authenticate, unauthenticated
from servers.api.faults import status_of
from servers.conductor.context import new_request_id
from servers.errors import InvalidParameters, Missing, Refusal, Unauthenticated
from servers.policy import Context

log = structlog.get_logger(__name__)


@method_decorator(csrf_exempt, name="dispatch")
class GlanceView(View):
    """An address behind `/image`; refusals are text, as Glance's are."""

    public = False
    """Whether it answers without a token."""
    context: Context

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request_id = new_request_id()
        try:
            answer = self.answer(request, request_id, *args, **kwargs)
        except Unauthenticated:
            answer = unauthenticated()
        except Refusal as refused:
            answer = refusal(status_of(type(refused)), str(refused))
        except RequestDataTooBig:
            answer = refusal(413, "The request is too large.")
        except SuspiciousOperation:
            answer = refusal(400, "The request is malformed.")
        except Exception:
            log.exception("image.failed", request_id=request_id, path=request.path)
            answer = refusal(500, "The server has either erred or is incapable of performing the request.")
        answer["x-openstack-request-id"] = request_id
        return answer

    def answer(self, request: HttpRequest, request_id: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the answer to a request with a valid token. Raises Refusal."""
        if not self.public:
            self.context = self.require_token(request, request_id)
        if "\0" in unquote(request.get_full_path()):
            raise InvalidParameters(detail="The address is malformed.")
        known = [name for name in self.http_method_names if hasattr(self, name)]
        method = (request.method or "").lower()
        if method not in known:  # getattr alone would find dispatch, setup and whatever else a view has
            answer = refusal(405, "This method is not allowed for the requested URL.")
            answer["Allow"] = ", ".join(name.upper() for name in known)
            return answer
        handler: Callable[..., HttpResponseBase] = getattr(self, method)
        return handler(request, *args, **kwargs)

    def require_token(self, request: HttpRequest, request_id: str) -> Context:
        """Return who asks. Raises Unauthenticated."""
        context = authenticate(request, request_id)
        if context is None:
            raise Unauthenticated
        return context


def refusal(code: int, message: str) -> HttpResponse:
    """Return a refusal that both people and clients can read."""
    return json_answer({"message": message, "code": code, "title": message}, code)


class NothingHere(GlanceView):
    """Any other address."""

    def answer(self, request: HttpRequest, request_id: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        raise Missing
