"""What all addresses of REST have in common: one order of checks, and one way from an error to its answer.

Django REST framework dispatches: `initial`, then the method's handler, `handle_exception` for what either raises, and
`finalize_response`. A service says in which form it refuses, and where its checks differ.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseFault
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import View
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView
from structlog.contextvars import bind_contextvars

from servers import policy
from servers.api import faults
from servers.api.answers import json_answer, try_again
from servers.api.authentication import TokenAuthentication
from servers.api.bodies import LIMIT_BYTES, length_of
from servers.api.resources import Schema
from servers.api.validation import read_json, violation
from servers.deployment.standing import STANDING
from servers.engine.accepting.idempotency import Answer, Claim
from servers.engine.accepting.request_context import REQUEST_ID, new_request_id
from servers.errors import DeploymentDiffers, InvalidParameters, Missing, TooManyFailedLogins, printable
from servers.microversions import MINIMUM, Microversion
from servers.models import Server
from servers.policy import Context

log = structlog.get_logger(__name__)

BODY_METHODS = {"POST", "PUT", "PATCH"}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
SAID_ELSEWHERE = "Its log says in what."


class ServiceView(APIView):
    """An address of a service."""

    authentication_classes: tuple[type[TokenAuthentication], ...] = (TokenAuthentication,)
    permission_classes = ()
    parser_classes = ()
    options = View.options  # type: ignore[assignment]  # DRF's own describes serializers, of which there are none

    service: ClassVar[str] = ""
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-openstack-request-id",)
    """By which an answer is found in the log."""
    unforeseen: ClassVar[str] = "An unexpected error prevented the server from fulfilling your request."
    """What is said of an error that nobody has foreseen."""
    public: ClassVar[bool] = False
    """Whether it answers without a token."""
    is_of_this_process: ClassVar[bool] = False
    """Whether it only tells how this process and the deployment are, and so answers while they differ."""
    bodies: ClassVar[Mapping[str, Schema]] = {}
    """The schema of the body by method, in lower case."""
    asked_in: ClassVar[tuple[str, ...]] = ()
    """The headers that say what is asked, besides those of every request."""

    request_id: str = ""
    context: Context
    body: Any = None
    claim: Claim | None = None
    """Of the request's Idempotency-Key."""
    kept: HttpResponse | None = None
    """The answer that is kept with the key."""
    made: str = ""
    """What was made, where the answer holds a secret: it is kept in place of the answer."""

    # ----------------------------------------------------------------------------- the order of checks

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the request; one that is wrong in two ways hears of the first (Nova contract A.0)."""
        self.require_served()
        self.require_size(request)
        self.require_standing(request)
        self.perform_authentication(request)
        self.require_method(request)
        self.negotiate(request)
        if request.method in BODY_METHODS:
            self.body = self.read_body(request)
        self.require_project()
        self.require_version(request)
        self.check_body(request)
        self.check_query(request)

    def require_served(self) -> None:
        """Do nothing where the service is embedded here. Raises Missing where it is the site's own elsewhere."""

    def require_standing(self, request: Request) -> None:
        """Do nothing while this process may answer for the deployment; versions may be asked for always.

        Raises DeploymentDiffers, without the reason: who asks is not known yet.
        """
        of_itself = self.is_of_this_process or (self.public and request.method in SAFE_METHODS)
        if not of_itself and STANDING.refuses() is not None:
            raise DeploymentDiffers(reason=SAID_ELSEWHERE)

    def require_size(self, request: Request) -> None:
        """Do nothing for a body that may be read. Raises RequestDataTooBig."""
        if length_of(request) > LIMIT_BYTES:
            raise RequestDataTooBig

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks. Raises Unauthenticated."""
        super().perform_authentication(request)
        if request.auth is not None:
            self.context = cast(Context, request.auth)

    def require_method(self, request: Request) -> None:
        """Do nothing for a method of this address. Raises MalformedUrl, Missing or MethodNotAllowed."""
        if "\0" in unquote(request.get_full_path()):
            raise faults.MalformedUrl
        if not self.allowed_methods:
            raise Missing
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed("", "The method is not allowed for the requested URL.")

    def negotiate(self, request: Request) -> None:
        """Find out in which version to answer, and whether the media type will do. Raises Refusal."""

    def read_body(self, request: Request) -> Any:
        """Return what the body says. Raises Malformed."""
        return read_json(request)

    def require_project(self) -> None:
        """Do nothing when the project in the address, if any, is the token's. Raises WrongProject."""

    def require_version(self, request: Request) -> None:
        """Do nothing when there is the method in the version. Raises Missing."""

    def check_body(self, request: Request) -> None:
        """Do nothing for a body that keeps to its schema. Raises InvalidParameters."""
        schema = self.body_schema(str(request.method).lower())
        if schema is not None:
            self.require_schema(schema)

    def require_schema(self, schema: Schema) -> None:
        """Do nothing when the body keeps to the schema. Raises InvalidParameters, in the words of the service."""
        reason = violation(self.body, schema)
        if reason is not None:
            raise InvalidParameters(reason)

    def check_query(self, request: Request) -> None:
        """Do nothing for a query that the address takes. Raises InvalidParameters."""

    def body_schema(self, method: str) -> Schema | None:
        """Return the schema of the body of a method in lower case, None where there is none."""
        return self.bodies.get(method)

    # ------------------------------------------------------------------------------------ the answer

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Return the answer to whatever has stopped the request; what nobody has foreseen is logged.

        That one is refused is logged where all answers pass (`servers.monitoring.requests`), with the reason from here.
        """
        refusal = faults.refusal_of(exc)
        if refusal is None:
            facts = {"service": self.service, "request_id": self.request_id, "path": self.request.path}
            log.error("request.failed", exc_info=exc, **facts)
            return self.refusal(500, self.unforeseen.format(kind=faults.novas_name(exc)))
        bind_contextvars(code=getattr(refusal, "code", type(refusal).__name__))
        if isinstance(exc, DatabaseFault):
            bind_contextvars(reason=printable(str(exc)))
        answer = self.refusal(faults.code_of(refusal), str(refusal))
        if answer.status_code == 405:
            answer["Allow"] = ", ".join(self.allowed_methods)
        if isinstance(refusal, TooManyFailedLogins):
            return try_again(answer, refusal.facts["retry_after_s"])
        return try_again(answer) if answer.status_code == 503 else answer

    def keep(self, answer: HttpResponse, *, checking: bool = False) -> None:
        """Keep the answer with the request's Idempotency-Key, in the accepting transaction. Raises ClaimLost."""
        if self.claim is not None:
            kept = Answer(answer.status_code, dict(answer.headers), answer.text, self.request_id, self.made)
            self.claim.keep(kept, checking=checking)
            self.kept = answer

    @abstractmethod
    def refusal(self, code: int, message: str) -> HttpResponse:
        """Return a refusal in the form of the service."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Return the headers that every answer has."""
        return dict.fromkeys(self.request_id_headers, self.request_id)

    @classmethod
    def answer_to(cls, error: Exception, request: HttpRequest) -> HttpResponseBase:
        """Return the answer to an error that was raised before the view was reached, or after it was left."""
        view = cls()
        view.setup(request)
        view.headers = view.default_response_headers
        asked = view.request = view.initialize_request(request)
        return view.finalize_response(asked, view.handle_exception(error))  # type: ignore[arg-type]

    # ---------------------------------------------------------------------------- what DRF asks for

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.request_id = request.META.get(REQUEST_ID) or new_request_id()

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [] if self.public else super().get_authenticators()

    # ------------------------------------------------------------------------ what resources ask for

    @property
    def version(self) -> Microversion:
        """Return the microversion to answer in; most services have but one."""
        return MINIMUM

    @property
    def is_admin(self) -> bool:
        """Return whether the caller acts on every project."""
        return policy.in_force().is_admin(self.context)

    def require(self, rule: str, server: Server | None = None) -> None:
        """Do nothing when the rule allows it, for the server's project or the caller's own. Raises NotPermitted."""
        policy.in_force().require(self.context, rule, server.project_id if server else None)

    def allows(self, rule: str, project_id: str | None = None) -> bool:
        """Return whether the rule allows it."""
        return policy.in_force().allows(self.context, rule, project_id)

    def answer(self, data: Any, status: int = 200) -> HttpResponse:
        """Return `data` as JSON."""
        return json_answer(data, status)
