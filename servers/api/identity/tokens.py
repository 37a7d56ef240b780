"""`/v3/auth`: logging in, looking a token up, revoking it, and what one may log in to."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from servers import clock
from servers.api.answers import json_answer
from servers.api.authentication import find_token
from servers.api.identity.bodies import catalog, link, project_body, token_body
from servers.api.identity.door import KeystoneError, KeystoneView, missing
from servers.api.identity.login import prove
from servers.api.identity.scope import scope_of
from servers.models import Membership, Project, Token


class Tokens(KeystoneView):
    """`/v3/auth/tokens`."""

    public = True

    def post(self, request: Request) -> HttpResponse:
        proof = prove(request._request, self.body)  # axes writes to the request, which its middleware reads
        scope = scope_of(self.body, proof)
        token, secret = Token.issue(
            proof.user,
            settings.TOKEN_LIFETIME_S,
            project=scope.project,
            system_scope=scope.system,
            roles=scope.roles,
            methods=proof.methods,
            application_credential=proof.credential,
        )
        if proof.ends_at is not None and proof.ends_at < token.expires_at:
            token.expires_at = proof.ends_at  # nor does a token live longer by being exchanged
            token.save(update_fields=["expires_at"])
        answer = json_answer({"token": token_body(token, with_catalog="nocatalog" not in request.GET)}, 201)
        answer["X-Subject-Token"] = secret
        return answer

    def get(self, request: Request) -> HttpResponse:
        token, secret = self.subject(request)
        answer = json_answer({"token": token_body(token, with_catalog="nocatalog" not in request.GET)})
        answer["X-Subject-Token"] = secret
        return answer

    def head(self, request: Request) -> HttpResponse:
        return self.get(request)

    def delete(self, request: Request) -> HttpResponse:
        token, _ = self.subject(request)
        token.revoked_at = clock.now()
        token.save(update_fields=["revoked_at"])
        return HttpResponse(status=204)

    def subject(self, request: Request) -> tuple[Token, str]:
        """Return the token in question and its secret: one's own, or anybody's for an admin. Raises KeystoneError."""
        self.context = self.require_token(request)
        secret = request.headers.get("X-Subject-Token", "")
        token = find_token(secret)
        if token is None or (token.user_id != self.context.user_id and not self.is_admin):
            raise missing("token", "it is unknown, expired or revoked")
        return token, secret


class OwnProjects(KeystoneView):
    """`/v3/auth/projects` and `/v3/users/{id}/projects`."""

    def get(self, request: Request, user_id: str | None = None) -> HttpResponse:
        links = link("users", user_id, "projects") if user_id else link("auth", "projects")
        user_id = user_id or self.context.user_id
        if user_id != self.context.user_id:
            self.require_admin("identity:list_user_projects")
        found = Project.objects.filter(memberships__user_id=user_id, enabled=True).distinct()
        projects = [project_body(project) for project in found]
        return json_answer({"projects": projects, "links": {**links, "next": None, "previous": None}})


class OwnCatalog(KeystoneView):
    """`/v3/auth/catalog`."""

    def get(self, request: Request) -> HttpResponse:
        if not self.context.project_id and not self.context.system_scope:
            raise KeystoneError(403, "An unscoped token has no catalog.")
        return json_answer({"catalog": catalog(), "links": link("auth", "catalog")})


class OwnSystem(KeystoneView):
    """`/v3/auth/system`."""

    def get(self, request: Request) -> HttpResponse:
        has_role = Membership.objects.filter(user_id=self.context.user_id, project=None).exists()
        return json_answer({"system": [{"all": True}] if has_role else [], "links": link("auth", "system")})
