"""What all of Keystone's addresses have in common: JSON in, JSON out, and errors in Keystone's form."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from servers.api.answers import json_answer
from servers.api.door import EmbeddedView
from servers.api.resources import Schema
from servers.errors import InvalidParameters, Unauthenticated

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
        if isinstance(error, InvalidParameters):
            return self.refusal(400, str(error))
        if isinstance(error, Unauthenticated):
            return self.refusal(401, str(error))
        return super().answer_to(error)

    def read_body(self, request: HttpRequest, schema: Schema) -> Any:
        """Return what the request says. Raises KeystoneError or InvalidParameters.

        A form is refused unread: Django would parse it, and axes keep what it finds there, passwords with it.
        """
        if request.content_type not in {"application/json", ""}:
            raise KeystoneError(400, "The Content-Type must be application/json.")
        if len(request.body) > MAX_BODY_BYTES:
            raise KeystoneError(413, "The request is too large.")
        return super().read_body(request, schema)

    def require_admin(self, rule: str) -> None:
        """Do nothing for an admin. Raises KeystoneError."""
        if not self.is_admin:
            raise KeystoneError(403, f"You are not authorized to perform the requested action: {rule}.")
