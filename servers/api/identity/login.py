"""Proving who one is: by password, by a token that one has, or by an application credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from servers.api.authentication import find_token
from servers.api.identity import guessing
from servers.api.identity.door import KeystoneError, member, text, unauthorized
from servers.api.identity.lookup import find_credential, find_user
from servers.models import ApplicationCredential, Project, Token, User

METHODS = ("password", "token", "application_credential")


@dataclass(frozen=True)
class Proof:
    """Who somebody has proven to be, and what that proof is good for."""

    user: User
    methods: list[str]
    credential: ApplicationCredential | None = None
    token: Token | None = None

    @property
    def project(self) -> Project | None:
        """Return the only project that the proof is good for, None where any will do."""
        return self.credential.project if self.credential else None

    @property
    def ends_at(self) -> datetime | None:
        """Return when the proof itself ends, None where it does not; a token made with it ends then too."""
        ends = [proof.expires_at for proof in (self.credential, self.token) if proof is not None]
        return min((end for end in ends if end is not None), default=None)


def prove(request: HttpRequest, body: dict[str, Any]) -> Proof:
    """Return who the caller is. Raises KeystoneError, which never says what was wrong."""
    identity = member(body, "auth", "identity")
    methods = member(identity, "methods")
    if not isinstance(methods, list) or len(methods) != 1 or methods[0] not in METHODS:
        raise KeystoneError(400, f"auth.identity.methods must be a list of one of {', '.join(METHODS)}.")
    given = member(identity, methods[0])
    if not isinstance(given, dict):
        raise KeystoneError(400, f"auth.identity.{methods[0]} must be an object.")
    if methods[0] == "password":
        return by_password(request, given)
    if methods[0] == "token":
        return by_token(given)
    return by_credential(request, given)


def by_password(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who knows a password. Raises KeystoneError."""
    who = member(given, "user")
    password = text(member(who, "password"), "auth.identity.password.user.password")
    user = find_user(who)
    name = user.name if user else text(member(who, "name") or member(who, "id"), "user")
    found = guessing.by_name(request, name, password)
    if found is None:
        raise unauthorized()
    if user is None or found.pk != user.pk or not user.domain.enabled:
        raise guessing.failed(request, name)
    guessing.succeeded(request, name)
    return Proof(user, ["password"])


def by_token(given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who has a token; what restricted that one restricts the next one."""
    token = find_token(text(member(given, "id"), "auth.identity.token.id"))
    if token is None:
        raise unauthorized()
    return Proof(token.user, [*token.methods, "token"], token.application_credential, token)


def by_credential(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of a program that has an application credential. Raises KeystoneError."""
    secret = text(member(given, "secret"), "auth.identity.application_credential.secret")
    credential = find_credential(given)
    name = spoken_name(given)
    guessing.require_allowed(request, name)
    if not opens(credential, secret) or credential is None:
        raise guessing.failed(request, name)
    guessing.succeeded(request, name)
    return Proof(credential.user, ["application_credential"], credential)


def spoken_name(given: dict[str, Any]) -> str:
    """Return under what failures are counted: what was asked for, so that it tells nothing of what there is."""
    if given.get("id") is not None:
        return f"application credential {given['id']}"
    who = given["user"]
    return f"application credential {given['name']} of {who.get('id') or who.get('name')}"


def opens(credential: ApplicationCredential | None, secret: str) -> bool:
    """Return whether the secret is that of a credential whose owner may log in; it always takes as long."""
    if credential is None:
        make_password(secret)
        return False
    right = credential.check_secret(secret)
    return right and credential.user.is_active and credential.user.domain.enabled
