"""What all of Keystone's addresses have in common: JSON in, JSON out, and errors in Keystone's form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import structlog
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from servers import policy
from servers.api.answers import json_answer
from servers.api.authentication import authenticate
from servers.conductor.context import new_request_id
from servers.policy import Context

log = structlog.get_logger(__name__)

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
}
MAX_BODY_BYTES = 114688
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""JSON can name characters that no database keeps: NUL, and halves of surrogate pairs."""


class KeystoneError(Exception):
    """A refusal, with HTTP's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def refusal(code: int, message: str) -> HttpResponse:
    """Return an error in Keystone's form."""
    answer = json_answer({"error": {"code": code, "message": message, "title": TITLES[code]}}, code)
    if code == 401:
        answer["WWW-Authenticate"] = "Keystone"
    return answer


def unauthorized(message: str = "The request you have made requires authentication.") -> KeystoneError:
    """Return the error for everybody who is not let in; it never says what was wrong."""
    return KeystoneError(401, message)


def missing(kind: str, name: object) -> KeystoneError:
    """Return the error for something that is not there, or not for the caller."""
    return KeystoneError(404, f"Could not find {kind}: {name}.")


@method_decorator(csrf_exempt, name="dispatch")
class KeystoneView(View):
    """An address behind `/identity`; a method that it does not have is 405."""

    public = False
    context: Context

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request_id = new_request_id()
        try:
            if not self.public:
                self.context = self.require_token(request, request_id)
            answer = self.handle(request, *args, **kwargs)
        except KeystoneError as error:
            answer = refusal(error.code, str(error))
        except RequestDataTooBig:
            answer = refusal(413, "The request is too large.")
        except SuspiciousOperation:
            answer = refusal(400, "The request is malformed.")
        except Exception:
            log.exception("identity.failed", request_id=request_id, path=request.path)
            answer = refusal(500, "An unexpected error prevented the server from fulfilling your request.")
        answer["Vary"] = "X-Auth-Token"
        answer["x-openstack-request-id"] = request_id
        return answer

    def handle(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the answer of the method that was asked for. Raises KeystoneError."""
        if "\0" in unquote(request.get_full_path()):
            raise KeystoneError(400, "The address is malformed.")
        known = [name for name in self.http_method_names if hasattr(self, name)]
        method = (request.method or "").lower()
        if method not in known:  # getattr alone would find dispatch, setup and whatever else a view has
            answer = refusal(405, "The method is not allowed for the requested URL.")
            answer["Allow"] = ", ".join(name.upper() for name in known)
            return answer
        handler: Callable[..., HttpResponse] = getattr(self, method)
        return handler(request, *args, **kwargs)

    def require_token(self, request: HttpRequest, request_id: str) -> Context:
        """Return who asks. Raises KeystoneError."""
        context = authenticate(request, request_id)
        if context is None:
            raise unauthorized()
        return context

    @property
    def is_admin(self) -> bool:
        """Return whether the caller sees everybody."""
        return policy.in_force().is_admin(self.context)

    def require_admin(self, rule: str) -> None:
        """Do nothing for an admin. Raises KeystoneError."""
        if not self.is_admin:
            raise KeystoneError(403, f"You are not authorized to perform the requested action: {rule}.")


def read_json(request: HttpRequest) -> dict[str, Any]:
    """Return the object in a request's body. Raises KeystoneError.

    A form is refused unread: Django would parse it, and axes keep what it finds there, passwords with it.
    """
    if request.content_type not in {"application/json", ""}:
        raise KeystoneError(400, "The Content-Type must be application/json.")
    if len(request.body) > MAX_BODY_BYTES:
        raise KeystoneError(413, "The request is too large.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise KeystoneError(400, "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise KeystoneError(400, "The request body must be a JSON object.")
    return body


def member(value: Any, *path: str) -> Any:
    """Return what stands under `path` in nested objects, None where something is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Any, name: str) -> str:
    """Return a string, as it is. Raises KeystoneError for anything else."""
    if not isinstance(value, str) or UNSTORABLE.search(value) or len(value) > 4096:
        raise KeystoneError(400, f"{name} must be a string.")
    return value
