"""Tokens of the site's own Keystone, validated by keystonemiddleware as OpenStack's services do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from keystoneauth1.exceptions import ClientException
from keystonemiddleware.auth_token import AuthProtocol
from oslo_context.context import RequestContext

from servers.api.mirror import mirror_project
from servers.errors import IdentityUnavailable
from servers.policy import Context
from servers.waiting import PLACES

log = structlog.get_logger(__name__)

TOKENS = {"HTTP_X_AUTH_TOKEN", "HTTP_X_SERVICE_TOKEN"}
"""The headers that the middleware sees; method and path it needs for credentials with access rules."""

VALID = 204

Environ = dict[str, Any]


def by_keystone(request: HttpRequest, request_id: str) -> Context | None:
    """Return the context of a token that Keystone says is valid, or None. Raises IdentityUnavailable."""
    identity = ask({k: v for k, v in request.META.items() if not k.startswith("HTTP_") or k in TOKENS})
    if identity is None:
        return None
    who = RequestContext.from_environ(identity, overwrite=False)
    if who.project_id:
        mirror_project(who.project_id, who.project_name, who.project_domain_id, who.project_domain_name)
    return Context(
        user_id=who.user_id or "",
        user_name=who.user_name or "",
        user_domain_id=who.user_domain_id or "",
        project_id=who.project_id or "",
        project_name=who.project_name or "",
        project_domain_id=who.project_domain_id or "",
        roles=frozenset()
        if who.domain_id
        else frozenset(who.roles),  # a role in a domain is none in a project
        system_scope=who.system_scope,
        request_id=request_id,
        door="rest",
    )


def ask(request: Environ) -> Environ | None:
    """Return what Keystone says of whoever asks, as the middleware hands it on; None for an invalid token.

    The middleware never sees what else the client has sent, so that no X-Roles of a client can be taken for
    Keystone's. Raises IdentityUnavailable, TooManyWaiting.
    """
    environ, statuses = dict(request), []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        statuses.append(int(status.split()[0]))

    try:
        with PLACES.place():
            middleware(configuration())(environ, start_response)
    except ClientException as error:  # a Keystone that hangs: the middleware foresees only one that is down
        log.error("keystone.failed", error=type(error).__name__)
        raise IdentityUnavailable from error
    if statuses == [VALID]:
        return environ
    if statuses == [401]:
        return None
    log.error("keystone.unavailable", status=statuses)
    raise IdentityUnavailable


def configuration() -> tuple[tuple[str, str], ...]:
    """Return the middleware's options (section [keystone_authtoken] of other services) from the settings."""
    options = {
        "auth_type": "password",
        "auth_url": settings.KEYSTONE_URL,
        "www_authenticate_uri": settings.KEYSTONE_URL,
        "username": settings.KEYSTONE_USER,
        "password": settings.KEYSTONE_PASSWORD,
        "project_name": settings.KEYSTONE_PROJECT,
        "user_domain_id": settings.KEYSTONE_DOMAIN_ID,
        "project_domain_id": settings.KEYSTONE_DOMAIN_ID,
        "service_type": "compute",  # whose addresses the access rules of a credential are about
        "service_token_roles": "service",
        "service_token_roles_required": "true",
        "token_cache_time": str(settings.KEYSTONE_TOKEN_CACHE_S or -1),
        "http_connect_timeout": str(settings.KEYSTONE_TIMEOUT_S),
        "http_request_max_retries": "0",
    }
    return tuple(sorted(options.items()))


@lru_cache(maxsize=1)
def middleware(options: tuple[tuple[str, str], ...]) -> AuthProtocol:
    """Return the middleware, round an application that is content; it keeps its own token for Keystone."""
    return AuthProtocol(content, dict(options))


def content(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer that whoever has come this far may pass."""
    start_response(f"{VALID} No Content", [])
    return []
