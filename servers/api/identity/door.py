"""What all of Keystone's addresses have in common: JSON in, JSON out, and errors in Keystone's form."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.authentication import require_token
from servers.api.bodies import media_type
from servers.api.view import ServiceView
from servers.errors import Missing, Unauthenticated
from servers.policy import Context


class KeystoneError(APIException):
    """A refusal, with HTTP's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = code


def unauthorized(message: str = Unauthenticated.template()) -> KeystoneError:
    """Return the error for everybody who is not let in; it never says what was wrong."""
    return KeystoneError(401, message)


def missing(kind: str, name: object) -> KeystoneError:
    """Return the error for something that is not there, or not for the caller."""
    return KeystoneError(404, f"Could not find {kind}: {name}.")


class KeystoneView(ServiceView):
    """An address behind `/identity`."""

    service = "identity"

    def require_served(self) -> None:
        if settings.IDENTITY != "embedded":
            raise Missing

    def read_body(self, request: Request) -> Any:
        """Return what the body says. Raises Malformed, or KeystoneError for a form, which is refused unread."""
        if media_type(request).lower() not in {"", "application/json"}:
            raise KeystoneError(400, "The Content-Type must be application/json.")
        return super().read_body(request)

    def refusal(self, code: int, message: str) -> HttpResponse:
        title = HTTPStatus(code).phrase
        answer = json_answer({"error": {"code": code, "message": message, "title": title}}, code)
        if code == 401:
            answer["WWW-Authenticate"] = "Keystone"
        return answer

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, "Vary": "X-Auth-Token"}

    def require_token(self, request: Request) -> Context:
        """Return who asks, at an address where not every method needs a token. Raises Unauthenticated."""
        return require_token(request, self.request_id)

    def require_admin(self, rule: str) -> None:
        """Do nothing for an admin. Raises KeystoneError."""
        if not self.is_admin:
            raise KeystoneError(403, f"You are not authorized to perform the requested action: {rule}.")
