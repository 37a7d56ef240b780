"""What the embedded identity and image services have in common: who asks, for which method, and one answer always."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from servers import policy
from servers.api.answers import try_again
from servers.api.authentication import authenticate
from servers.api.faults import Malformed
from servers.api.resources import Schema
from servers.api.validation import read_json, violation
from servers.engine.accepting.request_context import new_request_id
from servers.errors import DatabaseUnavailable, InvalidParameters, Unauthenticated
from servers.outage import is_outage
from servers.policy import Context

log = structlog.get_logger(__name__)


class EmbeddedView(View):
    """An address of an embedded service. Refusals have the form of the service, and never the shape of a page."""

    service: ClassVar[str] = ""
    public: ClassVar[bool] = False
    """Whether it answers without a token."""
    bodies: ClassVar[Mapping[str, Schema]] = {}
    """The schema of the request body, for each method in lower case that has one."""
    body: Any = None
    """What the request says, once it is known that it keeps to its schema."""
    request_id: str = ""
    context: Context

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        """Return the view, to which a token is shown and never a cookie: whatever a subclass dispatches."""
        return csrf_exempt(super().as_view(**initkwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.request_id = new_request_id()
        try:
            answer = self.answer(request, *args, **kwargs)
        except RequestDataTooBig:
            answer = self.refusal(413, "The request is too large.")
        except SuspiciousOperation:
            answer = self.refusal(400, "The request is malformed.")
        except Exception as error:  # noqa: BLE001 (no request ends without an answer in the form of the service)
            answer = self.answer_to(error)
        answer["x-openstack-request-id"] = self.request_id
        return answer

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the answer of the method that was asked for, to whoever may ask. Raises what `answer_to` answers."""
        if not self.is_served():
            return self.refusal(404, "The resource could not be found.")
        if not self.public:
            self.context = self.require_token(request)
        if "\0" in unquote(request.get_full_path()):
            return self.refusal(400, "The address is malformed.")
        known = [name for name in self.http_method_names if hasattr(self, name)]
        method = (request.method or "").lower()
        if method not in known:  # getattr alone would find dispatch, setup and whatever else a view has
            refused = self.refusal(405, "The method is not allowed for the requested URL.")
            refused["Allow"] = ", ".join(name.upper() for name in known)
            return refused
        if method in self.bodies:
            self.body = self.read_body(request, self.bodies[method])
        handler: Callable[..., HttpResponseBase] = getattr(self, method)
        return handler(request, *args, **kwargs)

    def read_body(self, request: HttpRequest, schema: Schema) -> Any:
        """Return what the request says. Raises InvalidParameters for what does not keep to the schema."""
        try:
            body = read_json(request)
            wrong = violation(body, schema)
        except Malformed as error:
            raise InvalidParameters(detail="The request body is not valid JSON.") from error
        if wrong is not None:
            raise InvalidParameters(detail=wrong)
        return body

    def require_token(self, request: HttpRequest) -> Context:
        """Return who asks. Raises Unauthenticated."""
        context = authenticate(request, self.request_id)
        if context is None:
            raise Unauthenticated
        return context

    def answer_to(self, error: Exception) -> HttpResponse:
        """Return the answer to an error; what nobody has foreseen is logged."""
        if is_outage(error):
            log.warning(f"{self.service}.without_database", request_id=self.request_id, reason=str(error))
            return try_again(self.refusal(503, str(DatabaseUnavailable())))
        log.error(
            f"{self.service}.failed", request_id=self.request_id, path=self.request.path, exc_info=error
        )
        return self.refusal(500, "An unexpected error prevented the server from fulfilling your request.")

    @abstractmethod
    def is_served(self) -> bool:
        """Return whether the service is embedded here, and not the site's own elsewhere."""

    @abstractmethod
    def refusal(self, code: int, message: str) -> HttpResponse:
        """Return a refusal in the form of the service."""

    @property
    def is_admin(self) -> bool:
        """Return whether the caller sees everybody's."""
        return policy.in_force().is_admin(self.context)
