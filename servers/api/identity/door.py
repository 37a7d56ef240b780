"""What all of Keystone's addresses have in common: JSON in, JSON out, and errors in Keystone's form."""

from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from servers.api.answers import json_answer
from servers.api.door import EmbeddedView
from servers.errors import Unauthenticated

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
MAX_BODY_BYTES = 114688
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""JSON can name characters that no database keeps: NUL, and halves of surrogate pairs."""


class KeystoneError(Exception):
    """A refusal, with HTTP's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def unauthorized(message: str = Unauthenticated.template()) -> KeystoneError:
    """Return the error for everybody who is not let in; it never says what was wrong."""
    return KeystoneError(401, message)


def missing(kind: str, name: object) -> KeystoneError:
    """Return the error for something that is not there, or not for the caller."""
    return KeystoneError(404, f"Could not find {kind}: {name}.")


class KeystoneView(EmbeddedView):
    """An address behind `/identity`."""

    service = "identity"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        answer = super().dispatch(request, *args, **kwargs)
        answer["Vary"] = "X-Auth-Token"
        return answer

    def is_served(self) -> bool:
        return settings.IDENTITY == "embedded"

    def refusal(self, code: int, message: str) -> HttpResponse:
        answer = json_answer({"error": {"code": code, "message": message, "title": TITLES[code]}}, code)
        if code == 401:
            answer["WWW-Authenticate"] = "Keystone"
        return answer

    def answer_to(self, error: Exception) -> HttpResponse:
        if isinstance(error, KeystoneError):
            return self.refusal(error.code, str(error))
        if isinstance(error, Unauthenticated):
            return self.refusal(401, str(error))
        return super().answer_to(error)

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
