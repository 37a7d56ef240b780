"""Who asks: the token in X-Auth-Token, the same for Nova's, Keystone's and Glance's clients."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from structlog.contextvars import bind_contextvars

from servers.acting import become
from servers.api.answers import json_answer
from servers.engine.accepting.request_context import new_request_id
from servers.errors import Unauthenticated
from servers.models import Membership, Token
from servers.policy import Context, implied_roles

BACKENDS = {
    "embedded": "servers.api.authentication.by_own_token",
    "keystone": "servers.api.keystone.by_keystone",
}
"""Loaded when asked for: Keystone's needs the extra `openstack`."""
TOKEN = "HTTP_X_AUTH_TOKEN"
"""Where a request has its token, in `HttpRequest.META`."""


def authenticate(request: HttpRequest, request_id: str | None = None) -> Context | None:
    """Return the context of the request's token, or None when it has none that is valid.

    Raises IdentityUnavailable where the site's Keystone does not answer.
    """
    if not request.META.get(TOKEN):
        return None
    found: Context | None = import_string(BACKENDS[settings.IDENTITY])(
        request, request_id or new_request_id()
    )
    if found:
        become(who=found.user_name, who_id=found.user_id)
        bind_contextvars(user=found.user_name)
    return found


def require_token(request: HttpRequest, request_id: str) -> Context:
    """Return the context of the request's token. Raises Unauthenticated, or IdentityUnavailable."""
    context = authenticate(request, request_id)
    if context is None:
        raise Unauthenticated
    return context


class TokenAuthentication(BaseAuthentication):
    """Authentication by X-Auth-Token; who has logged in to the console is nobody here."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Context]:
        """Return the caller's context as what REST framework calls `auth`. Raises Unauthenticated."""
        return AnonymousUser(), require_token(request, request.parser_context["view"].request_id)


def by_own_token(request: HttpRequest, request_id: str) -> Context | None:
    """Return the context of a token that was issued here, or None."""
    token = find_token(request.META[TOKEN])
    return context_of_token(token, request_id) if token else None


def find_token(secret: str) -> Token | None:
    """Return the valid token with this secret, its roles as they are now, or None.

    A role that was taken away since counts no more, though it was given again: its roles come from the memberships
    that it names. One for a project, the system or a program is worth nothing when none of them is left.
    """
    token = Token.find(secret) if secret else None
    if token is None or not token.rests_on_roles:
        return token
    left = Membership.objects.filter(pk__in=token.memberships).values_list("role", flat=True)
    token.roles = sorted(implied_roles(token.roles) & implied_roles(left))
    return token if token.roles or (token.is_unscoped and left) else None


def context_of_token(token: Token, request_id: str) -> Context:
    """Return the context of somebody who has shown this valid token."""
    project = token.project
    return Context(
        user_id=token.user.pk,
        user_name=token.user.name,
        user_domain_id=token.user.domain_id,
        project_id=project.pk if project else "",
        project_name=project.name if project else "",
        project_domain_id=project.domain_id if project else "",
        roles=frozenset(token.roles),
        system_scope="all" if token.system_scope else None,
        request_id=request_id,
        door="rest",
    )


def keystone_address() -> str:
    """Return where a token is to be had."""
    return settings.KEYSTONE_URL if settings.IDENTITY == "keystone" else f"{settings.PUBLIC_URL}/identity"


def unauthenticated() -> HttpResponse:
    """Return the 401 of a service that asks Keystone for its users (Nova contract E.5)."""
    message = str(Unauthenticated())
    answer = json_answer({"error": {"code": 401, "title": "Unauthorized", "message": message}}, 401)
    answer["WWW-Authenticate"] = f'Keystone uri="{keystone_address()}"'
    return answer
