"""From which address a request comes: the connection's own, or what a proxy says that is trusted."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

log = structlog.get_logger(__name__)

LOCAL = "local"
"""The address of this machine itself: its loopback, and who has none, as behind a Unix socket."""
FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
)
"""What a proxy says of the request that it hands on, in `HttpRequest.META`."""


class TrustedProxies:
    """Middleware behind which a request says what it would say without a proxy, and what proxies say is true.

    Of a peer in TRUSTED_PROXIES the address is replaced by that of its client. Of any other the headers are dropped, so
    nobody further in can believe them; the first time that is said in the log, since a proxy that is not trusted makes
    one address of all its clients.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.has_warned = False

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        peer = request.META.get("REMOTE_ADDR", "")
        if settings.BEHIND_PROXY and is_trusted(peer):
            request.META["REMOTE_ADDR"] = client_behind(peer, request.META.get("HTTP_X_FORWARDED_FOR", ""))
        elif [header for header in FORWARDED if request.META.pop(header, None) is not None]:
            self.warn_once(peer)
        return self.get_response(request)

    def warn_once(self, peer: str) -> None:
        """Say in the log how the proxy that may be there is trusted."""
        if not self.has_warned:
            self.has_warned = True
            log.warning("proxy.not_trusted", address=peer, remedy="set BEHIND_PROXY and TRUSTED_PROXIES")


def client_behind(peer: str, forwarded_for: str) -> str:
    """Return the address of the client, from X-Forwarded-For: the last one that is not a trusted proxy's.

    What stands before it was sent by the client. Where something else than an address stands, the proxy before it is
    the last of which anything is known.
    """
    client = peer
    for hop in reversed(forwarded_for.split(",")):
        if not is_trusted(client) or parsed(hop) is None:
            break
        client = hop.strip()
    return client


def is_trusted(peer: str) -> bool:
    """Return whether what a peer says is believed: one in TRUSTED_PROXIES, or behind a Unix socket."""
    address = parsed(peer)
    return not peer or (address is not None and any(address in each for each in settings.TRUSTED_PROXIES))


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, an IPv4 one in IPv6's form as IPv4, or None for what is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def address_of(request: HttpRequest | None) -> str:
    """Return under which address a request is counted."""
    return counted(request.META.get("REMOTE_ADDR", "") if request else "")


def counted(text: str) -> str:
    """Return under which address an address is counted: IPv6 by /64, which one customer has whole; LOCAL for none."""
    address = parsed(text)
    if address is None or address.is_loopback:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address)
