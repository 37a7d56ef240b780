"""How a test logs in: the bodies that clients send, and the token that comes back."""

from __future__ import annotations

from typing import Any

from django.test import Client

HTTP = Client(enforce_csrf_checks=True, raise_request_exception=False)
TOKENS = "/identity/v3/auth/tokens"
PROJECT_BY_NAME = {"project": {"name": "shop", "domain": {"name": "Default"}}}


def password(name: str = "anna", secret: str = "secret", **user: Any) -> dict[str, Any]:
    """Return an identity proven by password."""
    who = {"name": name, "domain": {"name": "Default"}, "password": secret, **user}
    return {"methods": ["password"], "password": {"user": who}}


def by_token(secret: str) -> dict[str, Any]:
    """Return an identity proven by a token."""
    return {"methods": ["token"], "token": {"id": secret}}


def by_credential(**given: Any) -> dict[str, Any]:
    """Return an identity proven by an application credential."""
    return {"methods": ["application_credential"], "application_credential": given}


def login(identity: Any, scope: Any = None, **headers: str) -> Any:
    """Return the answer to a login; without a scope where none is given."""
    auth = {"identity": identity} | ({"scope": scope} if scope is not None else {})
    return HTTP.post(TOKENS, {"auth": auth}, content_type="application/json", headers=headers)


def subject(response: Any) -> str:
    """Return the token of a login that has succeeded."""
    assert response.status_code == 201, response.content
    return str(response["X-Subject-Token"])


def get(path: str, token: str) -> Any:
    """Return what an address answers to somebody with a token."""
    return HTTP.get(path, headers={"X-Auth-Token": token})
