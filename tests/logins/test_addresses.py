"""Where a request comes from: a proxy is believed when it is trusted, and nobody else is."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from structlog.testing import capture_logs

from servers.logins.addresses import LOCAL, TrustedProxies, address_of
from servers.models import LoginFailures
from tests.api.identity.logging_in import TOKENS, password

PROXY, STRANGER = "127.0.0.1", "203.0.113.5"


@pytest.fixture(autouse=True)
def behind_proxy(settings: Any) -> None:
    settings.BEHIND_PROXY = True


def seen(rf: Any, peer: str, **headers: str) -> HttpRequest:
    """Return a request as it is behind the middleware."""
    found: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(request)
        return HttpResponse()

    TrustedProxies(view)(rf.get("/", REMOTE_ADDR=peer, **headers))
    return found[0]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("10.0.0.1,192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 127.0.0.5", "192.0.2.1"),
        ("10.0.0.1, 2001:db8:1:2:3::1", "2001:db8:1:2::/64"),
        ("10.0.0.1, ::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, nonsense", LOCAL),
        ("192.0.2.1,", LOCAL),
        ("", LOCAL),
    ],
)
def test_of_a_trusted_proxy_the_last_address_that_is_none_of_a_proxy_is_believed(
    rf: Any, header: str, expected: str
) -> None:
    assert address_of(seen(rf, PROXY, HTTP_X_FORWARDED_FOR=header)) == expected


@pytest.mark.parametrize("is_behind_proxy", [True, False])
def test_of_anybody_else_nothing_is_believed(rf: Any, settings: Any, is_behind_proxy: bool) -> None:
    settings.BEHIND_PROXY = is_behind_proxy
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.USE_X_FORWARDED_HOST = True
    peer = STRANGER if is_behind_proxy else PROXY
    forged = {"HTTP_X_FORWARDED_FOR": "192.0.2.1", "HTTP_X_FORWARDED_PROTO": "https"}
    request = seen(rf, peer, **forged, HTTP_X_FORWARDED_HOST="localhost", HTTP_HOST="127.0.0.1")
    assert (request.META["REMOTE_ADDR"], request.is_secure(), request.get_host()) == (
        peer,
        False,
        "127.0.0.1",
    )


def test_proxy_that_is_not_trusted_is_named_in_the_log_once(rf: Any) -> None:
    middleware = TrustedProxies(lambda request: HttpResponse())
    with capture_logs() as lines:
        middleware(rf.get("/", REMOTE_ADDR=STRANGER))
        for _ in range(3):
            middleware(rf.get("/", REMOTE_ADDR=STRANGER, HTTP_X_FORWARDED_FOR="192.0.2.1"))
            middleware(rf.get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR="192.0.2.1"))
    (line,) = lines
    assert (line["event"], line["address"]) == ("proxy.not_trusted", STRANGER)


def test_networks_of_trusted_proxies_are_those_that_are_set(rf: Any, settings: Any) -> None:
    settings.TRUSTED_PROXIES = (ip_network("203.0.113.0/24"),)
    header = {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    assert address_of(seen(rf, STRANGER, **header)) == "192.0.2.1"
    assert address_of(seen(rf, PROXY, **header)) == LOCAL


def test_what_comes_by_a_unix_socket_is_the_proxys(rf: Any) -> None:
    assert address_of(seen(rf, "", HTTP_X_FORWARDED_FOR="192.0.2.1")) == "192.0.2.1"
    assert address_of(seen(rf, "")) == address_of(None) == LOCAL


@pytest.mark.django_db
@pytest.mark.parametrize(("peer", "expected"), [(PROXY, "203.0.113.9"), (STRANGER, STRANGER)])
def test_login_counts_under_the_address_that_is_believed(peer: str, expected: str) -> None:
    body = {"auth": {"identity": password(secret="guess")}}
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    Client().post(TOKENS, body, content_type="application/json", headers=headers, REMOTE_ADDR=peer)
    assert set(LoginFailures.objects.exclude(address="").values_list("address", flat=True)) == {expected}
