"""Proving who one is: by password, with a code besides where one has a second factor; by a token; by an application credential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import permutations
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
from servers.api.resources import an_object
from servers.logins.checking import check_password, check_secret
from servers.logins.second_factor import Step, after_password, check_code
from servers.models import ApplicationCredential, Membership, Project, Token, User

PASSWORD = an_object({"user": an_object({"password": LIMITED_TEXT}, NAMES, **NAMED)})
TOTP = an_object({"user": an_object({"passcode": LIMITED_TEXT}, NAMES, **NAMED)})
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


def by_password(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return the proof of somebody who knows a password, and has no second factor.

    Raises KeystoneError, TooManyFailedLogins, LoginsBusy.
    """
    return Proof(knows_password(request, identity["password"]["user"], alone=True), ["password"])


def by_password_and_code(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return the proof of somebody who knows a password, and shows a code of his second factor.

    Raises KeystoneError, TooManyFailedLogins, LoginsBusy.
    """
    user, who = knows_password(request, identity["password"]["user"]), identity["totp"]["user"]
    if find_user(who) != user or after_password(user) is not Step.CODE:
        raise unauthorized()
    if not check_code(request, user, who["passcode"]):
        raise unauthorized()
    return Proof(user, ["password", "totp"])


def knows_password(request: HttpRequest, who: dict[str, Any], *, alone: bool = False) -> User:
    """Return the user whose password is said; `alone` says that no code is. Raises as `by_password` does."""
    user = find_user(who)
    name = user.name if user else who.get("name") or who["id"]
    if not check_password(request, name, user, who["password"], alone=alone) or user is None:
        raise unauthorized()
    return user


def by_token(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return the proof of somebody who has a token; what restricted that one restricts the next one."""
    token = find_token(identity["token"]["id"])
    if token is None:
        raise unauthorized()
    return Proof(token.user, [*token.methods, "token"], token.application_credential, token)


def by_credential(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return the proof of a program that has an application credential.

    Raises KeystoneError, TooManyFailedLogins, LoginsBusy.
    """
    given = identity["application_credential"]
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


SAID = {"password": PASSWORD, "totp": TOTP, "token": TOKEN, "application_credential": CREDENTIAL}
"""What a client says for each method of Keystone's, by its name."""
PROOFS: dict[frozenset[str], Callable[[HttpRequest, dict[str, Any]], Proof]] = {
    frozenset({"password"}): by_password,
    frozenset({"password", "totp"}): by_password_and_code,
    frozenset({"token"}): by_token,
    frozenset({"application_credential"}): by_credential,
}
"""The methods that prove together who somebody is, in whichever order they are named."""
IDENTITY = an_object(
    {
        "methods": {
            "description": f"one of {', '.join(sorted(SAID.keys() - {'totp'}))}; or password and totp",
            "enum": [list(order) for methods in PROOFS for order in permutations(sorted(methods))],
        }
    },
    dict(SAID),
    allOf=[
        {"if": {"properties": {"methods": {"contains": {"const": name}}}}, "then": {"required": [name]}}
        for name in SAID
    ],
)


def prove(request: HttpRequest, identity: dict[str, Any]) -> Proof:
    """Return who the caller is, by what is said as IDENTITY says.

    Raises KeystoneError, which never says what was wrong; TooManyFailedLogins or LoginsBusy where that was not looked at.
    """
    return PROOFS[frozenset(identity["methods"])](request, identity)
