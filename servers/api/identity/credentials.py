"""`/v3/users/{id}/application_credentials`: what programs log in with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from servers import clock
from servers.api.answers import json_answer
from servers.api.authentication import find_token
from servers.api.idempotency import once
from servers.api.identity.bodies import NAMED_ROLE, ROLES, SELF, address, listed, role_id, time
from servers.api.identity.door import KeystoneError, KeystoneView, missing
from servers.api.identity.lookup import LIMITED_TEXT
from servers.api.resources import (
    TEXT,
    TIME_OR_NULL,
    Bodies,
    Field,
    Resource,
    Schema,
    an_object,
    fields,
    fixed,
)
from servers.api.validation import bounded_text, moment
from servers.models import ApplicationCredential
from servers.policy import implied_roles

RESTRICTED = (
    "You are not authorized to perform the requested action: "
    "Using method 'application_credential' is not allowed for managing additional application credentials."
)
"""Keystone's words: every application credential is restricted."""
SHORTEST_SECRET = 16
LIMITED_TEXT_OR_NULL: Schema = {**LIMITED_TEXT, "type": ["string", "null"]}
REQUEST = an_object(
    {
        "application_credential": an_object(
            {"name": bounded_text(255, shortest=1)},
            {
                "description": LIMITED_TEXT_OR_NULL,
                "secret": {
                    "description": "null: a secret is made, which is better",
                    **bounded_text(4096, shortest=SHORTEST_SECRET),
                    "type": ["string", "null"],
                },
                "roles": {
                    "type": ["array", "null"],
                    "maxItems": 100,
                    "items": an_object({}, {"id": TEXT, "name": TEXT}),
                },
                "expires_at": {"type": ["string", "null"], "format": "date-time"},
                "unrestricted": {
                    "description": "false: every application credential is restricted, it makes no other one",
                    "enum": [False, None],
                },
                "access_rules": {
                    "description": "empty: they are not supported; give the credential fewer roles",
                    "type": ["array", "null"],
                    "maxItems": 0,
                },
            },
        )
    }
)
CREDENTIAL = Resource(
    "ApplicationCredential",
    (
        *fields("id name project_id description", TEXT),
        Field("roles", NAMED_ROLE, "roles", many=True),
        Field("expires_at", TIME_OR_NULL, lambda credential: time(credential.expires_at)),
        Field("unrestricted", {"const": False}, fixed(False)),
        Field("links", SELF, lambda made: address("users", made.user_id, "application_credentials", made.pk)),
    ),
)


def with_secret(secret: str = "") -> Resource:
    """Return the table of a credential that has just been made with this secret, which is shown this once."""
    return Resource("NewApplicationCredential", (*CREDENTIAL.fields, Field("secret", TEXT, fixed(secret))))


class CredentialView(KeystoneView):
    """What both addresses have in common: everybody has their own."""

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks. Raises KeystoneError for a program that would change what programs log in with."""
        super().perform_authentication(request)
        if request.method not in SAFE_METHODS:
            token = find_token(request.headers.get("X-Auth-Token", ""))
            if token is None or token.application_credential_id is not None:
                raise KeystoneError(403, RESTRICTED)

    def own(self, user_id: str) -> Any:
        """Return the user's credentials. Raises KeystoneError for a stranger."""
        if user_id != self.context.user_id:
            self.require_admin("identity:list_application_credentials")
        return ApplicationCredential.objects.filter(user_id=user_id).order_by("name")


class Credentials(CredentialView):
    """The list; a credential is made once, for the project and at most the roles of the token that asks."""

    bodies = {"post": REQUEST}

    def get(self, request: Request, user_id: str) -> HttpResponse:
        found = self.own(user_id)
        if "name" in request.GET:
            found = found.filter(name=request.GET["name"])
        path = ("users", user_id, "application_credentials")
        return json_answer(listed("application_credentials", CREDENTIAL, found, *path, links=SELF))

    @once
    def post(self, request: Request, user_id: str) -> HttpResponse:
        if user_id != self.context.user_id or not self.context.project_id:
            raise KeystoneError(403, "An application credential is made by its owner, for a project.")
        refusal = ApplicationCredential.refuses_another(user_id)
        if refusal:
            raise KeystoneError(403, refusal)
        given = self.body["application_credential"]
        credential = ApplicationCredential(
            name=given["name"],
            description=given.get("description") or "",
            user_id=user_id,
            project_id=self.context.project_id,
            roles=self.roles(given.get("roles")),
            expires_at=expiry(given.get("expires_at")),
        )
        secret = credential.set_secret(given.get("secret"))
        try:
            with transaction.atomic():
                credential.save(force_insert=True)
        except IntegrityError as error:
            raise KeystoneError(
                409, f"There is an application credential {credential.name} already."
            ) from error
        self.made = f"application credential {credential.name} ({credential.pk})"
        return json_answer({"application_credential": Bodies(with_secret(secret))(credential)}, 201)

    def roles(self, asked: list[dict[str, str]] | None) -> list[str]:
        """Return the roles that the credential gets: those asked for, or all of the caller's."""
        mine = implied_roles(self.context.roles)
        if asked is None:
            return sorted(mine)
        named = {next((r for r in ROLES if is_called(a, r)), "") for a in asked}
        if not named or not named <= mine:
            raise KeystoneError(400, "roles must be among the roles that you have.")
        return sorted(named)


class OneCredential(CredentialView):
    """One of them: shown without its secret, and deleted."""

    def get(self, request: Request, user_id: str, pk: str) -> HttpResponse:
        return json_answer({"application_credential": Bodies(CREDENTIAL)(self.one(user_id, pk))})

    @once
    def delete(self, request: Request, user_id: str, pk: str) -> HttpResponse:
        self.one(user_id, pk).delete()
        return HttpResponse(status=204)

    def one(self, user_id: str, pk: str) -> ApplicationCredential:
        """Return one credential. Raises KeystoneError."""
        found: ApplicationCredential | None = self.own(user_id).filter(pk=pk).first()
        if found is None:
            raise missing("application credential", pk)
        return found


def is_called(asked: dict[str, str], role: str) -> bool:
    """Return whether `asked` names the role, by id or by name."""
    return asked.get("name") == role or asked.get("id") == role_id(role)


def expiry(asked: str | None) -> datetime | None:
    """Return the time at which a credential expires, None for never. Raises KeystoneError for what is no time to come."""
    if asked is None:
        return None
    ends_at = moment(asked)
    if ends_at <= clock.now():
        raise KeystoneError(400, "expires_at must be a time to come.")
    return ends_at
