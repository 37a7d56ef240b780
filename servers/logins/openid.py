"""Logging in by an OpenID provider: what it is asked, and what of its answers is believed.

mozilla-django-oidc keeps state, nonce and PKCE's verifier in the session. What it leaves to its settings is decided here: the
addresses come of the provider's discovery document, an ID token is good for this issuer and this client alone, and no
answer is followed elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlsplit

import jwt
import requests
import structlog
from django.conf import settings
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from servers import clock
from servers.errors import SignOnRefused, SignOnUnavailable, printable
from servers.logins import limits
from servers.logins.addresses import address_of
from servers.logins.checking import SessionBackend
from servers.logins.federation import admit
from servers.logins.openid_settings import is_private
from servers.models import User
from servers.waiting import PLACES

log = structlog.get_logger(__name__)

ALGORITHMS = (*("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),)
"""Those of which the provider alone has the key: never `none`, and no shared secret."""
CLAIMS = ("iss", "aud", "exp", "iat", "sub", "nonce")
"""What every ID token says (OpenID Connect Core 3.1.3.7)."""
LEEWAY_S = 60
DISCOVERED_AGAIN_S = 3600
CALLBACK = "admin:sign_on_return"


def is_on() -> bool:
    """Return whether people may log in by the provider."""
    return bool(settings.OIDC_ISSUER)


# ------------------------------------------------------------------------------------------- the provider


@dataclass(frozen=True)
class Provider:
    """Where a provider is asked. `basic` says that it takes the client's secret in a header; else it stands in the form."""

    authorization: str
    token: str
    keys: str
    userinfo: str
    basic: bool = field(kw_only=True)


def provider() -> Provider:
    """Return the provider; what it says of itself is believed for an hour. Raises SignOnUnavailable, TooManyWaiting."""
    return discovered(settings.OIDC_ISSUER, int(clock.now().timestamp() // DISCOVERED_AGAIN_S))


@lru_cache(maxsize=1)
def discovered(issuer: str, hour: int) -> Provider:
    """Return what the discovery document of an issuer says. Raises SignOnUnavailable, TooManyWaiting."""
    said = ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if said.get("issuer") != issuer:
        raise not_understood("another issuer", said.get("issuer"))
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    addresses = {name: said.get(name) for name in names} | {
        "userinfo_endpoint": said.get("userinfo_endpoint", "")
    }
    wrong = [name for name, address in addresses.items() if not is_usable(name, address)]
    if wrong:
        raise not_understood("endpoints that are missing, or not https", ", ".join(wrong))
    methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(*map(str, addresses.values()), basic="client_secret_basic" in methods)


def is_usable(name: str, address: Any) -> bool:
    """Return whether an endpoint can be asked; that of more about a user may be left out."""
    if address == "":
        return name == "userinfo_endpoint"
    return isinstance(address, str) and is_private(address)


def ask(method: str, address: str, **given: Any) -> dict[str, Any]:
    """Return the JSON object that the provider answers.

    Raises SignOnRefused where it says no, SignOnUnavailable where it says nothing that can be used, TooManyWaiting.
    """
    try:
        with PLACES.place():
            answer = requests.request(
                method, address, timeout=settings.OIDC_TIMEOUT_S, allow_redirects=False, **given
            )
            said = answer.json() if answer.status_code in {200, 400, 401} else None
    except requests.RequestException as error:  # what is no JSON is one, too
        raise not_understood(type(error).__name__, urlsplit(address).hostname) from error
    if answer.status_code in {400, 401} and isinstance(said, dict):
        log.warning(
            "sign_on.refused", status=answer.status_code, error=printable(str(said.get("error")), 100)
        )
        raise SignOnRefused(reason="The sign-on provider did not confirm it. Begin again.")
    if not isinstance(said, dict):
        raise not_understood(f"status {answer.status_code}", urlsplit(address).hostname)
    return said


def not_understood(what: str, value: object = "") -> SignOnUnavailable:
    """Return the fault for an answer that cannot be used; what it was stands in the log."""
    log.error("sign_on.unavailable", reason=what, value=printable(str(value), 200))
    return SignOnUnavailable()


# ------------------------------------------------------------------------------------------- the ID token


def claims_of(token: Any, nonce: str) -> dict[str, Any]:
    """Return what an ID token says that the provider has signed for this login.

    Raises SignOnRefused, SignOnUnavailable, TooManyWaiting.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key_for(token),
            algorithms=list(ALGORITHMS),
            audience=settings.OIDC_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=LEEWAY_S,
            options={"require": list(CLAIMS)},
        )
    except jwt.PyJWTError as error:
        raise not_believed(type(error).__name__) from error
    if not nonce or claims["nonce"] != nonce:
        raise not_believed("another nonce")
    if claims.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID:
        raise not_believed("issued to another client")
    return claims


def key_for(token: Any) -> jwt.PyJWK:
    """Return the provider's key with which a token says to be signed. Raises PyJWTError, SignOnUnavailable, TooManyWaiting."""
    kid = jwt.get_unverified_header(token).get("kid")
    keys = jwt.PyJWKSet.from_dict(ask("GET", provider().keys)).keys
    fit = [key for key in keys if key.key_type != "oct" and key.public_key_use in {None, "sig"}]
    named = [key for key in fit if key.key_id == kid] if kid is not None else fit
    if len(named) != 1:
        raise jwt.InvalidKeyError("the provider has not one key of this name")
    return named[0]


def not_believed(what: str) -> SignOnRefused:
    """Return the refusal of an ID token; what is wrong with it stands in the log."""
    log.warning("sign_on.not_believed", reason=what)
    return SignOnRefused(reason="What the sign-on provider answered is not for this login. Begin again.")


# ---------------------------------------------------------------------------------------- for the library


def of_library(name: str, *default: Any) -> Any:
    """Return what mozilla-django-oidc calls a setting."""
    known = {
        "OIDC_RP_CLIENT_ID": settings.OIDC_CLIENT_ID,
        "OIDC_RP_CLIENT_SECRET": settings.OIDC_CLIENT_SECRET,
        "OIDC_RP_SCOPES": settings.OIDC_SCOPES,
        "OIDC_AUTHENTICATION_CALLBACK_URL": CALLBACK,
        "OIDC_USE_PKCE": True,
        "OIDC_OP_TOKEN_ENDPOINT": "",  # this and the next one: found when they are needed
        "OIDC_OP_USER_ENDPOINT": "",
    }
    if name == "OIDC_OP_AUTHORIZATION_ENDPOINT":
        return provider().authorization
    return known[name] if name in known else default[0]


class ProviderBackend(SessionBackend, OIDCAuthenticationBackend):  # type: ignore[misc]
    """What Django asks where somebody comes back from the provider, and with each request of a session that began so."""

    get_settings = staticmethod(of_library)

    def authenticate(  # type: ignore[override]
        self, request: HttpRequest, *, nonce: str, code_verifier: str
    ) -> User | None:
        """Return the user whom the provider names.

        Raises SignOnRefused, SignOnUnavailable, TooManyWaiting. Who gives a password has no nonce, and never comes here.
        """
        user: User | None = super().authenticate(request, nonce=nonce, code_verifier=code_verifier)
        if user is not None:
            limits.let_in(address_of(request))
        return user

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the provider's answer to a code. The client's secret goes where the provider wants it, and nowhere else."""
        where, auth = provider(), None
        if where.basic:
            auth = (quote_plus(payload["client_id"]), quote_plus(payload.pop("client_secret")))
        return ask("POST", where.token, data=payload, auth=auth)

    def verify_token(self, token: Any, **given: Any) -> dict[str, Any]:
        return claims_of(token, given["nonce"])

    def get_or_create_user(self, access_token: Any, id_token: Any, payload: dict[str, Any]) -> User:
        """Return the user of whom the claims are; where they lack the groups, the provider is asked for more."""
        if settings.OIDC_GROUPS_CLAIM not in payload and provider().userinfo:
            more = ask("GET", provider().userinfo, headers={"Authorization": f"Bearer {access_token}"})
            if more.get("sub") != payload["sub"]:
                raise not_believed("userinfo of somebody else")
            payload = {**more, **payload}
        return admit(payload)
