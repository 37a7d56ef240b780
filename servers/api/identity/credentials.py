"""`/v3/users/{id}/application_credentials`: what programs log in with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from servers import clock
from servers.api.answers import json_answer
from servers.api.authentication import find_token
from servers.api.identity.bodies import ROLES, credential_body, link, role_id
from servers.api.identity.door import KeystoneError, KeystoneView, member, missing, text
from servers.models import ApplicationCredential
from servers.policy import implied_roles


class CredentialView(KeystoneView):
    """What both addresses have in common: everybody has their own."""

    def own(self, user_id: str) -> Any:
        """Return the user's credentials. Raises KeystoneError for a stranger."""
        if user_id != self.context.user_id:
            self.require_admin("identity:list_application_credentials")
        return ApplicationCredential.objects.filter(user_id=user_id).order_by("name")


class Credentials(CredentialView):
    """The list; a credential is made once, for the project and at most the roles of the token that asks."""

    def get(self, request: Request, user_id: str) -> HttpResponse:
        found = self.own(user_id)
        if "name" in request.GET:
            found = found.filter(name=request.GET["name"])
        bodies = [credential_body(credential) for credential in found]
        links = link("users", user_id, "application_credentials")
        return json_answer({"application_credentials": bodies, "links": links})

    def post(self, request: Request, user_id: str) -> HttpResponse:
        if user_id != self.context.user_id or not self.context.project_id:
            raise KeystoneError(403, "An application credential is made by its owner, for a project.")
        token = find_token(request.headers.get("X-Auth-Token", ""))
        if token is None or token.application_credential_id is not None:
            raise KeystoneError(403, "An application credential cannot make another one.")
        given = member(self.body, "application_credential")
        require_supported(given)
        credential = ApplicationCredential(
            name=text(member(given, "name"), "name"),
            description=description(member(given, "description")),
            user_id=user_id,
            project_id=self.context.project_id,
            roles=self.roles(member(given, "roles")),
            expires_at=expiry(member(given, "expires_at")),
        )
        if not 1 <= len(credential.name) <= 255:
            raise KeystoneError(400, "name must have 1 to 255 characters.")
        asked = member(given, "secret")
        secret = credential.set_secret(text(asked, "secret") if asked is not None else None)
        try:
            with transaction.atomic():
                credential.save(force_insert=True)
        except IntegrityError as error:
            raise KeystoneError(
                409, f"There is an application credential {credential.name} already."
            ) from error
        body = {**credential_body(credential), "secret": secret}
        return json_answer({"application_credential": body}, 201)

    def roles(self, asked: Any) -> list[str]:
        """Return the roles that the credential gets: those asked for, or all of the caller's."""
        mine = implied_roles(self.context.roles)
        if asked is None:
            return sorted(mine)
        if not isinstance(asked, list):
            raise KeystoneError(400, "roles must be a list.")
        named = {next((r for r in ROLES if is_called(a, r)), "") for a in asked}
        if not named or not named <= mine:
            raise KeystoneError(400, "roles must be among the roles that you have.")
        return sorted(named)


class OneCredential(CredentialView):
    """One of them: shown without its secret, and deleted."""

    def get(self, request: Request, user_id: str, pk: str) -> HttpResponse:
        return json_answer({"application_credential": credential_body(self.one(user_id, pk))})

    def delete(self, request: Request, user_id: str, pk: str) -> HttpResponse:
        self.one(user_id, pk).delete()
        return HttpResponse(status=204)

    def one(self, user_id: str, pk: str) -> ApplicationCredential:
        """Return one credential. Raises KeystoneError."""
        found: ApplicationCredential | None = self.own(user_id).filter(pk=pk).first()
        if found is None:
            raise missing("application credential", pk)
        return found


def is_called(asked: Any, role: str) -> bool:
    """Return whether `asked` names the role, by id or by name."""
    return bool(member(asked, "name") == role or member(asked, "id") == role_id(role))


def require_supported(given: Any) -> None:
    """Do nothing for a credential as all are here. Raises KeystoneError rather than give more, or less, than asked."""
    unrestricted = member(given, "unrestricted")
    if unrestricted is not None and unrestricted is not False:
        raise KeystoneError(400, "Every application credential is restricted: it makes no other one.")
    if member(given, "access_rules") not in (None, []):
        raise KeystoneError(400, "Access rules are not supported; give the credential fewer roles.")


def description(value: Any) -> str:
    """Return what is said of a credential. Raises KeystoneError for what is no text."""
    return "" if value is None else text(value, "description")


def expiry(value: Any) -> datetime | None:
    """Return the time at which a credential expires. Raises KeystoneError for what is no time to come."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(text(value, "expires_at"))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise KeystoneError(400, "expires_at must be a time in ISO 8601.") from error
    if moment <= clock.now():
        raise KeystoneError(400, "expires_at must be a time to come.")
    return moment
