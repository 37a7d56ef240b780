"""Proving who one is: by password, by a token that one has, or by an application credential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from servers import clock
from servers.api.authentication import find_token
from servers.api.identity.door import unauthorized
from servers.api.identity.lookup import (
    LIMITED_TEXT,
    NAME,
    NAME_IN_DOMAIN,
    NAMED,
    NAMES,
    find_credential,
    find_user,
)
from servers.api.resources import Schema, an_object
from servers.logins.checking import check_password, check_secret
from servers.models import ApplicationCredential, Membership, Project, Token, User

PASSWORD = an_object({"user": an_object({"password": LIMITED_TEXT}, NAMES, **NAMED)})
TOKEN = an_object({"id": LIMITED_TEXT})
CREDENTIAL = an_object(
    {"secret": LIMITED_TEXT},
    {"id": NAME, "name": NAME, "user": NAME_IN_DOMAIN},
    description="an object with a secret, and an id, or a name and its user",
    anyOf=[{"required": ["id"]}, {"required": ["name", "user"]}],
)


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


def by_password(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who knows a password. Raises KeystoneError, TooManyFailedLogins, LoginsBusy."""
    who = given["user"]
    user = find_user(who)
    name = user.name if user else who.get("name") or who["id"]
    if not check_password(request, name, user, who["password"]) or user is None:
        raise unauthorized()
    return Proof(user, ["password"])


def by_token(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of somebody who has a token; what restricted that one restricts the next one."""
    token = find_token(given["id"])
    if token is None:
        raise unauthorized()
    return Proof(token.user, [*token.methods, "token"], token.application_credential, token)


def by_credential(request: HttpRequest, given: dict[str, Any]) -> Proof:
    """Return the proof of a program that has an application credential.

    Raises KeystoneError, TooManyFailedLogins, LoginsBusy.
    """
    credential = find_credential(given)
    kept = credential.secret_hash if credential else None
    may_log_in = credential is not None and opens(credential)
    right, _ = check_secret(request, spoken_name(given), kept, given["secret"], may_log_in=may_log_in)
    if not right or credential is None:
        raise unauthorized()
    return Proof(credential.user, ["application_credential"], credential)


def spoken_name(given: dict[str, Any]) -> str:
    """Return under what failures are counted: what was asked for, so that it tells nothing of what there is."""
    if "id" in given:
        return f"application credential {given['id']}"
    who = given["user"]
    return f"application credential {given['name']} of {who.get('id') or who.get('name')}"


def opens(credential: ApplicationCredential) -> bool:
    """Return whether a credential can be used: it, its owner, its project and a role on which it rests."""
    usable = credential.user.may_log_in and credential.is_usable(clock.now())
    return usable and Membership.objects.filter(pk__in=credential.memberships).exists()


@dataclass(frozen=True)
class Method:
    """A way to prove who one is: what a client says for it, and what becomes of that."""

    schema: Schema
    prove: Callable[[HttpRequest, dict[str, Any]], Proof]


METHODS = {
    "password": Method(PASSWORD, by_password),
    "token": Method(TOKEN, by_token),
    "application_credential": Method(CREDENTIAL, by_credential),
}
IDENTITY = an_object(
    {"methods": {"type": "array", "items": {"enum": list(METHODS)}, "minItems": 1, "maxItems": 1}},
    {name: method.schema for name, method in METHODS.items()},
    allOf=[
        {"if": {"properties": {"methods": {"const": [name]}}}, "then": {"required": [name]}}
        for name in METHODS
    ],
)


def prove(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return who the caller is, by what is said as IDENTITY says.

    Raises KeystoneError, which never says what was wrong; TooManyFailedLogins or LoginsBusy where that was not looked at.
    """
    [name] = identity["methods"]
    return METHODS[name].prove(request, identity[name])
