"""Gantry below a path of its PUBLIC_URL, in a folder with an odd name, with every number at one of its ends.

All of it runs: whoever follows its links, in the browser or by REST, stays below the path and gets an answer.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import Any

import pytest

from project.environment import READ
from tests.running import Running, free_port, gantry

PATH = "/gantry"
ODD_FOLDER = "gantry é'\"#?%[x]+ "
OWN = {"PORT", "METRICS_PORT", "WORKERS", "WEB_PROCESSES", "WEB_THREADS"}
"""Numbers that are not taken to their ends here: of these so many processes, threads or ports there would be."""
ADDRESS = re.compile(r'\b(href|src|action|hx-get|hx-post|data-path)="([^"]*)"')
ASKED = {"href", "src", "hx-get"}
ELSEWHERE = ("https://docs.openstack.org/", "https://json-schema.org/", "http://docs.openstack.org/")
NOWHERE = re.compile(r"/image/(v2/$|images/)|/v2(\.[01])?/nonsense$")
"""What Nova and Glance link to as well, and nothing answers there either."""


@dataclass
class Site:
    """A running Gantry below PATH, and somebody who asks it."""

    running: Running
    public: str
    jar: CookieJar

    def ask(self, address: str, body: Any = None, **headers: str) -> HTTPResponse | urllib.error.HTTPError:
        """Return the answer to a request; a form where `body` is a mapping of texts that Content-Type calls so."""
        as_form = headers.get("Content_Type", "").endswith("urlencoded")
        data = (
            None if body is None else (urllib.parse.urlencode(body) if as_form else json.dumps(body)).encode()
        )
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(urllib.parse.urljoin(self.public, address), data, sent)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        try:
            return opener.open(request, timeout=30)  # type: ignore[no-any-return]
        except urllib.error.HTTPError as answer:
            return answer

    def wait_until_ready(self) -> None:
        """Return when every web process has heard of a worker and agrees with the deployment."""
        ready, until = 0, time.monotonic() + 60
        while ready < READY_IN_A_ROW and time.monotonic() < until:
            ready = ready + 1 if self.ask("/readyz").status == 200 else 0
            time.sleep(0.2)

    def log_in(self) -> str:
        """Log in at the console; return the address at which that ends."""
        page = self.ask(f"{PATH}/admin").read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None, page
        form = {
            "csrfmiddlewaretoken": token[1],
            "username": "admin",
            "password": self.running.passwords["admin"],
            "next": f"{PATH}/admin/",
        }
        kind = "application/x-www-form-urlencoded"
        origin = self.public.removesuffix(PATH)
        return self.ask(f"{PATH}/admin/login/", form, Content_Type=kind, Origin=origin).url

    def token(self) -> tuple[str, list[str]]:
        """Return a token, and the addresses of the catalog that comes with it."""
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.running.passwords["admin"]}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = self.ask(f"{PATH}/identity/v3/auth/tokens", login, Content_Type="application/json")
        catalog = json.load(answer)["token"]["catalog"]
        return answer.headers["X-Subject-Token"], [
            e["url"] for service in catalog for e in service["endpoints"]
        ]


READY_IN_A_ROW = 12
"""Of several processes on one port each has answered by then, most likely."""


@pytest.fixture(scope="module", params=["minimum", "maximum"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    numbers = {
        name: f"{getattr(variable, request.param):.15g}"
        for name, variable in READ.items()
        if variable.minimum is not None and name not in OWN
    }
    port = free_port()
    public = f"http://127.0.0.1:{port}{PATH}"
    with gantry(
        folder=ODD_FOLDER,
        PORT=str(port),
        PUBLIC_URL=f"{public}/",
        SECRET_KEY="$a'\"#%é ,",
        **numbers,
    ) as running:
        site = Site(running, public, CookieJar())
        site.wait_until_ready()
        yield site


def linked(page: str) -> Iterator[tuple[str, str]]:
    """Yield every address on a page, with the attribute in which it stands."""
    for kind, address in ADDRESS.findall(page):
        if not address.startswith(("#", "?", "data:")) and address:
            yield kind, address.replace("&amp;", "&")


def shape_of(address: str) -> str:
    """Return what addresses of one kind of page have in common."""
    return re.sub(r"[0-9a-f-]{36}|\d+", "N", urllib.parse.urlsplit(address).path)


def test_console_stays_below_the_path_and_each_of_its_addresses_answers(site: Site) -> None:
    assert site.log_in() == f"{site.public}/admin/"
    assert {cookie.path for cookie in site.jar} == {f"{PATH}/"}
    left, seen = [f"{site.public}/admin/"], set[str]()
    while left:
        address = left.pop()
        if shape_of(address) in seen:
            continue
        seen.add(shape_of(address))
        answer = site.ask(address)
        assert answer.status == 200, (address, answer.status)
        assert answer.url.startswith(f"{site.public}/"), (address, answer.url)
        if "html" not in answer.headers["Content-Type"]:
            continue
        for kind, found in linked(answer.read().decode()):
            whole = urllib.parse.urljoin(answer.url, found)
            assert whole.startswith(f"{site.public}/"), (address, kind, found)
            if kind in ASKED and "logout" not in whole:
                left.append(whole)
    assert len(seen) > 30 and any("/static/" in shape for shape in seen)
    assert {f"{PATH}/admin/servers/server/N/change/", f"{PATH}/openapi"} & seen


def addresses(body: Any) -> Iterator[str]:
    """Yield every address of the web in an answer of REST."""
    if isinstance(body, dict):
        for value in body.values():
            yield from addresses(value)
    elif isinstance(body, list):
        for value in body:
            yield from addresses(value)
    elif isinstance(body, str) and body.startswith(("http://", "https://")):
        yield body


def test_rest_stays_below_the_path_and_each_of_its_addresses_answers(site: Site) -> None:
    token, catalog = site.token()
    assert all(url.startswith(f"{site.public}/") for url in catalog) and len(catalog) >= 3
    begun = ["/", "/v2.1", "/nonsense", "/v2.1/servers?limit=1", "/v2.1/servers/detail?limit=1"]
    begun += ["/v2.1/flavors?limit=1", "/v2.1/os-migrations", "/identity", "/identity/v3/users"]
    begun += ["/image", "/image/v2/images", "/openapi.json", "/gantry/v1/actions", "/readyz"]
    left, seen = [*catalog, *(site.public + path for path in begun)], set[str]()
    while left:
        address = left.pop()
        if shape_of(address) in seen:
            continue
        seen.add(shape_of(address))
        answer = site.ask(address, X_Auth_Token=token, OpenStack_API_Version="compute 2.35")  # it has images
        right = {404} if NOWHERE.search(address) else {200, 300}
        assert answer.status in right, (address, answer.status, answer.read())
        if "json" not in answer.headers["Content-Type"]:
            continue
        body = json.load(answer)
        own = body.get("servers", []) if "openapi" in body else body
        for found in addresses(own):
            if not found.startswith(ELSEWHERE):
                assert found.startswith(site.public), (address, found)
                left.append(found)
    assert len(seen) > 12


def test_refusals_of_each_service_keep_their_form_below_the_path(site: Site) -> None:
    forms = {"/v2.1/servers": "error", "/identity/v3/users": "error", "/image/v2/images": None}
    for path, key in forms.items():
        answer = site.ask(f"{PATH}{path}")
        assert answer.status == 401 and (key is None or key in json.load(answer))
        if path == "/v2.1/servers":
            assert f"{site.public}/identity" in answer.headers["WWW-Authenticate"]


def test_an_action_is_carried_out_and_what_is_done_by_time_is_done(site: Site) -> None:
    token, _ = site.token()
    mine = {"X_Auth_Token": token, "OpenStack_API_Version": "compute 2.80"}
    listed = json.load(site.ask(f"{PATH}/v2.1/servers/detail?all_tenants=1&status=ACTIVE", **mine))["servers"]
    free = [server for server in listed if server["OS-EXT-STS:task_state"] is None and not server["locked"]]
    body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
    asked = [
        site.ask(f"{PATH}/v2.1/servers/{s['id']}/action", body, Content_Type="application/json", **mine)
        for s in free
    ]
    accepted = [server["id"] for server, answer in zip(free, asked, strict=True) if answer.status == 202]
    assert accepted
    until, states = time.monotonic() + 60, {"running"}
    while time.monotonic() < until and states & {
        "running",
        "queued",
        "preparing",
        "accepted",
        "pre-migrating",
    }:
        time.sleep(0.5)
        moves = json.load(site.ask(f"{PATH}/v2.1/os-migrations", **mine))["migrations"]
        states = {move["status"] for move in moves if move["instance_uuid"] == accepted[0]}
    assert "completed" in states, states
    logs = "".join(path.read_text() for path in (site.running.data / "log").glob("*.log"))
    assert "Traceback" not in logs, logs[-5000:]
