"""Who asks: the token in X-Auth-Token, the same for Nova's, Keystone's and Glance's clients."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from servers.api.answers import json_answer
from servers.conductor.context import new_request_id
from servers.errors import Unauthenticated
from servers.models import Token
from servers.policy import Context, implied_roles


def context_of_token(token: Token, request_id: str) -> Context:
    """Return the context of somebody who has shown this valid token."""
    return Context(
        user_id=token.user.pk,
        user_name=token.user.name,
        project_id=token.project.pk if token.project else "",
        project_name=token.project.name if token.project else "",
        roles=implied_roles(token.roles),
        system_scope="all" if token.system_scope else None,
        request_id=request_id,
        door="rest",
    )


def authenticate(request: HttpRequest, request_id: str | None = None) -> Context | None:
    """Return the context of the request's token, or None when it has none that is valid.

    The request gets the token's user: the history of what it changes names them.
    """
    secret = request.headers.get("X-Auth-Token", "")
    token = Token.find(secret) if secret else None
    if token is None:
        return None
    request.user = token.user
    return context_of_token(token, request_id or new_request_id())


def unauthenticated() -> HttpResponse:
    """Return the 401 of a service that asks Keystone for its users (CONTRACT E.5)."""
    message = str(Unauthenticated())
    answer = json_answer({"error": {"code": 401, "title": "Unauthorized", "message": message}}, 401)
    answer["WWW-Authenticate"] = f'Keystone uri="{settings.PUBLIC_URL}/identity"'
    return answer
