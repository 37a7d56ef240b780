"""The headers of every answer, and at which address Gantry is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from project.settings import ALLOWED_HOSTS, SECURE_CSP
from servers.web.limits import REFUSED
from tests.addresses import addresses
from tests.admin.visiting import Visitor
from tests.conftest import Caller
from tests.inline import STRICT, inline

pytestmark = pytest.mark.django_db

SAYS_OF_ITSELF = {"/openapi", "/openapi.json", "/openapi.yaml"}
"""What strangers may keep: it is the same for everybody."""
EVIL = {"Host": "evil.example.org"}
CONSOLE = ("/admin", "/admin/", "/admin/login/", "/admin/servers/server/")
REST = (
    "/v2.1/servers",
    "/identity/v3/users",
    "/image/v2/images",
    "/gantry/v1/workers",
    "/metrics",
    "/",
    "/none",
)


def test_policy_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    said = {source for sources in SECURE_CSP.values() for source in sources}
    assert said == {"'self'", "'none'"}
    assert {f"{name} {' '.join(sources)}" for name, sources in SECURE_CSP.items()} >= STRICT


@pytest.mark.parametrize(("known", "least"), [(False, 5), (True, 100)], ids=["stranger", "operator"])
def test_every_address_answers_with_its_headers(known: bool, least: int, project: Any) -> None:
    client = Visitor(project).client if known else Client()
    client.raise_request_exception = False
    pages = 0
    for path in (path for path in addresses() if path != "/admin/logout/"):
        for method in ("get", "post"):
            answer = getattr(client, method)(path, headers={"Accept": "text/html"})
            assert answer["X-Content-Type-Options"] == "nosniff", path
            if path not in SAYS_OF_ITSELF:
                assert "no-store" in answer["Cache-Control"], path
            if answer["Content-Type"].startswith("text/html") and answer.status_code != 302:
                assert set(answer["Content-Security-Policy"].split("; ")) >= STRICT, path
                assert "camera=()" in answer["Permissions-Policy"], path
                pages += 1
    assert pages >= least


@pytest.mark.parametrize(
    "page",
    [
        "<p style='color: red'>",
        "<style>p {}</style>",
        "<script>alert(1)</script>",
        "<a onclick='go()'>",
        "<a href=' javascript:go()'>",
        "<div hx-on:click='go()'>",
        "<div hx-vals='js:{a: go()}'>",
    ],
)
def test_what_is_inline_is_found_in_a_page(page: str) -> None:
    assert inline(page) and not inline("<script src='a.js'></script><p class='red'>")


def test_what_the_web_server_refuses_has_its_headers_too() -> None:
    answer = Client().get("/admin/", **{REFUSED: 408})  # type: ignore[arg-type]
    assert answer["X-Content-Type-Options"] == "nosniff" and answer["Content-Security-Policy"]


def test_form_from_elsewhere_is_refused_by_a_page_of_ours() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/admin/login/", {"username": "a", "password": "b"})
    assert answer.status_code == 403 and inline(answer.content.decode()) == []
    assert b"Nothing was changed" in answer.content and b"Load the page anew" in answer.content


# ------------------------------------------------------------------------------------------ the name


@pytest.mark.parametrize("path", CONSOLE)
def test_console_is_asked_under_a_name_of_its_own_alone(path: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ALLOWED_HOSTS
    assert Client().get(path, headers=EVIL).status_code == 400
    assert Client().get(path, headers={"Host": "localhost:8774"}).status_code != 400


@pytest.mark.parametrize("path", REST)
def test_rest_looks_at_the_name_where_names_were_set(path: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ALLOWED_HOSTS
    assert Client().get(path, headers=EVIL).status_code != 400
    settings.HOST_IS_CHECKED_BY_REST = True
    answer = Client().get(path, headers={**EVIL, "Accept": "application/json"})
    assert answer.status_code == 400 and "evil" not in answer.content.decode()
    assert answer["Content-Type"].startswith("application/json")
    assert "one of the names" in str(answer.json())
    assert Client().get(path, headers={"Host": "localhost:8774"}).status_code != 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_under_any_name(path: str, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.HOST_IS_CHECKED_BY_REST = ALLOWED_HOSTS, True
    assert Client().get(path, headers=EVIL).status_code in {200, 503}


# -------------------------------------------------------------------------------------------- https


@pytest.fixture
def behind_proxy(settings: Any) -> None:
    settings.BEHIND_PROXY = settings.HTTPS_IS_REQUIRED = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.PUBLIC_URL = "https://gantry.example.org"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["/admin/login/?next=/admin/", "/v2.1/servers?limit=1"])
def test_who_comes_through_a_proxy_by_http_is_sent_to_https(
    path: str, method: str, behind_proxy: None
) -> None:
    answer = getattr(Client(), method)(path, headers={"X-Forwarded-Proto": "http"})
    assert (answer.status_code, answer["Location"]) == (308, f"https://gantry.example.org{path}")
    assert getattr(Client(), method)(path, headers={"X-Forwarded-Proto": "https"}).status_code != 308


def test_who_comes_by_no_proxy_is_on_this_machine_and_goes_on(behind_proxy: None) -> None:
    assert Client().get("/admin/login/").status_code == 200


def test_proxy_that_is_not_trusted_says_nothing_of_https(behind_proxy: None) -> None:
    answer = Client().get("/admin/login/", headers={"X-Forwarded-Proto": "http"}, REMOTE_ADDR="203.0.113.9")
    assert answer.status_code == 200


# ------------------------------------------------------------------------------- tokens and documents


def test_tokens_are_kept_by_nobody_on_the_way(admin: Caller) -> None:
    assert "no-store" in admin.get("/identity/v3/auth/tokens", X_Subject_Token=admin.secret)["Cache-Control"]


@pytest.mark.parametrize("address", sorted(SAYS_OF_ITSELF))
def test_document_is_not_sent_to_who_has_it_and_packed_for_who_takes_it_so(address: str) -> None:
    def ask(**headers: str) -> Any:
        return Client().get(address, headers={name.replace("_", "-"): v for name, v in headers.items()})

    plain = ask()
    packed = ask(Accept_Encoding="br, gzip;q=0.8")
    assert packed["Content-Encoding"] == "gzip" and len(packed.content) < len(plain.content) / 4
    for refused in ("gzip;q=0", "br", "identity, gzip;q=0.0"):
        assert ask(Accept_Encoding=refused).content == plain.content, refused
    again = ask(If_None_Match=plain["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == plain["ETag"] == packed["ETag"]
    assert "Accept-Encoding" in plain["Vary"] and plain["Cache-Control"].startswith("public")
