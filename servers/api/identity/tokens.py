"""`/v3/auth`: logging in, looking a token up, revoking it, and what one may log in to."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers.api.answers import json_answer
from servers.api.authentication import find_token
from servers.api.idempotency import once
from servers.api.identity.bodies import PROJECT, SELF, SERVICE, SERVICES, TOKEN, address, listed
from servers.api.identity.door import KeystoneError, KeystoneView, missing
from servers.api.identity.login import IDENTITY, prove
from servers.api.identity.scope import SCOPE, scope_of
from servers.api.resources import OBJECT, Bodies, Field, Resource, an_object, list_of
from servers.models import Membership, Project, Token

LOGIN = an_object({"auth": an_object({"identity": IDENTITY}, {"scope": SCOPE})})


class Tokens(KeystoneView):
    """`/v3/auth/tokens`."""

    public = True
    bodies = {"post": LOGIN}
    asked_in = ("X-Subject-Token",)

    def perform_authentication(self, request: Request) -> None:
        """Find out who asks; only logging in needs no token."""
        super().perform_authentication(request)
        if request.method in {"GET", "HEAD", "DELETE"}:
            self.context = self.require_token(request)

    def post(self, request: Request) -> HttpResponse:
        auth = self.body["auth"]
        proof = prove(request._request, auth["identity"])
        scope = scope_of(auth.get("scope"), proof)
        token, secret = Token.issue(
            proof.user,
            settings.TOKEN_LIFETIME_S,
            parent=proof.token,
            project=scope.project,
            system_scope=scope.system,
            roles=scope.roles,
            methods=proof.methods,
            application_credential=proof.credential,
        )
        if proof.ends_at is not None and proof.ends_at < token.expires_at:
            token.expires_at = proof.ends_at  # nor does a token live longer by being exchanged
            token.save(update_fields=["expires_at"])
        return self.shown(token, secret, 201)

    def get(self, request: Request) -> HttpResponse:
        return self.shown(*self.subject(request))

    def head(self, request: Request) -> HttpResponse:
        return self.get(request)

    @once
    def delete(self, request: Request) -> HttpResponse:
        token, _ = self.subject(request)
        token.revoke()
        return HttpResponse(status=204)

    def shown(self, token: Token, secret: str, status: int = 200) -> HttpResponse:
        """Return the answer that shows a token, without the catalog for who does not want it."""
        body = Bodies(TOKEN)(token)
        if "nocatalog" in self.request.GET:
            body.pop("catalog", None)
        answer = json_answer({"token": body}, status)
        answer["X-Subject-Token"] = secret
        return answer

    def subject(self, request: Request) -> tuple[Token, str]:
        """Return the token in question and its secret: one's own, or anybody's for an admin. Raises KeystoneError."""
        secret = request.headers.get("X-Subject-Token", "")
        token = find_token(secret)
        if token is None or (token.user_id != self.context.user_id and not self.is_admin):
            raise missing("token", "it is unknown, expired or revoked")
        return token, secret


class OwnProjects(KeystoneView):
    """`/v3/auth/projects` and `/v3/users/{id}/projects`."""

    def get(self, request: Request, user_id: str | None = None) -> HttpResponse:
        path = ("users", user_id, "projects") if user_id else ("auth", "projects")
        user_id = user_id or self.context.user_id
        if user_id != self.context.user_id:
            self.require_admin("identity:list_user_projects")
        found = Project.objects.filter(memberships__user_id=user_id, enabled=True, domain__enabled=True)
        found = found.distinct()
        return json_answer(listed("projects", PROJECT, found, *path))


class OwnCatalog(KeystoneView):
    """`/v3/auth/catalog`."""

    def get(self, request: Request) -> HttpResponse:
        if not self.context.project_id and not self.context.system_scope:
            raise KeystoneError(403, "An unscoped token has no catalog.")
        return json_answer(listed("catalog", SERVICE, SERVICES, "auth", "catalog", links=SELF))


SYSTEM = Resource(
    "OwnSystem",
    (
        Field("system", list_of(OBJECT), lambda has_role: [{"all": True}] if has_role else []),
        Field("links", SELF, lambda has_role: address("auth", "system")),
    ),
)
"""Of whether the caller has a role in the system."""


class OwnSystem(KeystoneView):
    """`/v3/auth/system`."""

    def get(self, request: Request) -> HttpResponse:
        has_role = Membership.objects.filter(user_id=self.context.user_id, project=None).exists()
        return json_answer(Bodies(SYSTEM)(has_role))
