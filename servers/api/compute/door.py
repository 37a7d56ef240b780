"""The order in which a request is checked before a resource sees it (Nova contract A.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from servers import policy
from servers.api import faults
from servers.api.answers import json_answer, plain_refusal
from servers.api.authentication import authenticate, unauthenticated
from servers.api.compute.bodies import is_too_large, require_media_type
from servers.api.compute.links import Links
from servers.api.compute.negotiation import announce, negotiate
from servers.api.compute.validation import Query
from servers.api.validation import read_json
from servers.engine.accepting.request_context import new_request_id
from servers.errors import Invalid, Missing, Unauthenticated
from servers.microversions import MINIMUM, Microversion
from servers.models import Server
from servers.policy import Context

BODY_METHODS = {"post", "put"}


class TooLarge(Exception):
    """The body is larger than Nova takes; not a fault in Nova's form."""


class Unrouted(Exception):
    """Nothing is at this address, or not with this method; not a fault in Nova's form."""


class MalformedUrl(Invalid):
    """Malformed request URL"""


class WrongProject(Invalid):
    """Malformed request URL: URL's project_id '{url}' doesn't match Context's project_id '{token}'"""


Handler = TypeVar("Handler", bound=Callable[..., HttpResponse])


def versions(since: str | None = None, until: str | None = None) -> Callable[[Handler], Handler]:
    """Let a method exist in these microversions only; in others it is not found."""

    def mark(handler: Handler) -> Handler:
        handler.versions = (since, until)  # type: ignore[attr-defined]
        return handler

    return mark


class NovaView(APIView):
    """A resource of Nova's API. DRF's negotiation, parsers and exceptions are not Nova's, and stay out."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    http_method_names = ["get", "post", "put", "delete"]

    public: ClassVar[bool] = False
    """Whether it answers without a token."""
    query: ClassVar[Query] = Query()

    request_id: str = ""
    compat: bool = False
    """Whether the request came to `/v2`, where unknown keys are dropped and there is one version."""
    url_project: str = ""
    microversion: Microversion | None = None
    context: Context
    body: Any = None
    values: dict[str, list[str]]

    # ----------------------------------------------------------------------------- the order of checks

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.request_id = new_request_id()
        self.compat = kwargs.pop("minor", None) is None
        self.url_project = kwargs.pop("project_id", "")
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if is_too_large(request._request):
            raise TooLarge
        self.perform_authentication(request)
        method = (request.method or "").lower()
        if method not in self.http_method_names or not hasattr(self, method) or "\0" in request.path:
            raise Unrouted
        self.microversion = MINIMUM if self.compat else negotiate(request.headers)
        require_media_type(request._request)
        if method in BODY_METHODS:
            self.body = self.read_body(request._request)
        self.require_project()
        if not self.version.between(*getattr(getattr(self, method), "versions", (None, None))):
            raise Missing
        self.check_body()
        self.values = self.query.read(request.GET, self.version)

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks. Raises Unauthenticated."""
        if self.public:
            return
        context = authenticate(request._request, self.request_id)
        if context is None:
            raise Unauthenticated
        self.context = context

    def require_project(self) -> None:
        """Do nothing when the project in the address, if any, is the token's. Raises WrongProject."""
        if self.url_project and self.url_project != self.context.project_id:
            raise WrongProject(url=self.url_project, token=self.context.project_id)

    def read_body(self, request: HttpRequest) -> Any:
        """Return what the body says. Raises Malformed."""
        return read_json(request)

    def check_body(self) -> None:
        """Do nothing for a body that keeps to its schema. Raises InvalidParameters."""

    # ------------------------------------------------------------------------------------ the answer

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        if isinstance(exc, TooLarge):
            text = "Request is too large. Larger than max_request_body_size (%s)."  # Nova shows it unfilled
            return plain_refusal(self.request._request, 413, "Request Entity Too Large", text)
        if isinstance(exc, Unrouted):
            return plain_refusal(self.request._request, 404, "Not Found", "The resource could not be found.")
        if isinstance(exc, Unauthenticated):
            return unauthenticated()
        if isinstance(exc, SuspiciousOperation):  # Django's, for more keys in a query than it takes
            exc = MalformedUrl()
        response = faults.answer(exc)
        if isinstance(exc, faults.VersionRefused):
            announce(response, exc.facts["version"])
        return response

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponse, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if response.status_code != 204:
            response["Content-Length"] = str(len(response.content))
        response["x-compute-request-id"] = response["x-openstack-request-id"] = self.request_id
        if self.microversion is not None and not self.compat:
            announce(response, self.microversion)
        return response

    # ------------------------------------------------------------------------ what resources ask for

    @property
    def version(self) -> Microversion:
        """Return the microversion to answer in."""
        return self.microversion or MINIMUM

    def at_least(self, version: str) -> bool:
        """Return whether the answer is in `version` or a later one."""
        return self.version.between(version, None)

    @property
    def links(self) -> Links:
        """Return the maker of links for this request."""
        return Links("v2" if self.compat else "v2.1", self.url_project)

    @property
    def is_admin(self) -> bool:
        """Return whether the caller acts on every project."""
        return policy.in_force().is_admin(self.context)

    def value(self, name: str) -> str | None:
        """Return the last value of a query key, as Nova does, or None."""
        return self.values[name][-1] if name in self.values else None

    def require(self, rule: str, server: Server | None = None) -> None:
        """Do nothing when the rule allows it, for the server's project or the caller's own. Raises NotPermitted."""
        policy.in_force().require(self.context, rule, server.project_id if server else None)

    def allows(self, rule: str, project_id: str | None = None) -> bool:
        """Return whether the rule allows it."""
        return policy.in_force().allows(self.context, rule, project_id)

    def answer(self, data: Any, status: int = 200) -> HttpResponse:
        """Return `data` as JSON."""
        return json_answer(data, status)


class NothingHere(NovaView):
    """Any address behind a version that leads nowhere; it asks for a token all the same."""
