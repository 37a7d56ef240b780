"""A real server behind a proxy that cuts every third connection: each request, repeated until answered, acts once.

POSTS says how many requests; the long run is POSTS=1000.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.cutting import CuttingProxy, cutting_proxy
from tests.running import Running, gantry

POSTS = int(os.environ.get("POSTS", "60"))
CLIENTS = 4
LIMIT_S = 60.0
BODIES: tuple[dict[str, Any], ...] = ({"lock": None}, {"resetNetwork": None}, {"injectNetworkInfo": None})
"""One that is over at once, and two that wait in a queue."""
NAMES = [name for body in BODIES for name in body]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with gantry(WORKERS="1") as running:
        yield running


@pytest.fixture
def proxy(running: Running) -> Iterator[CuttingProxy]:
    where = urlsplit(running.address)
    with cutting_proxy(str(where.hostname), int(where.port or 0)) as proxy:
        yield proxy


def send(
    address: str, method: str, path: str, body: Any, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the answer. Raises OSError or HTTPException where none comes."""
    said = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection = HTTPConnection(urlsplit(address).netloc, timeout=LIMIT_S)
    with closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), said)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def login(running: Running) -> str:
    """Return a token of the admin."""
    user = {"name": "admin", "domain": {"id": "default"}, "password": running.passwords["admin"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    body = {"auth": {"identity": identity, "scope": scope}}
    status, headers, text = send(running.address, "POST", "/identity/v3/auth/tokens", body)
    assert status == 201, text
    return headers["X-Subject-Token"]


def active_servers(running: Running, token: str) -> list[str]:
    """Return the ids of servers at rest."""
    path = "/v2.1/servers/detail?all_tenants=1&status=ACTIVE"
    _, _, text = send(running.address, "GET", path, None, X_Auth_Token=token)
    return [s["id"] for s in json.loads(text)["servers"] if s["OS-EXT-STS:task_state"] is None]


def insist(address: str, path: str, body: Any, token: str) -> Counter[str]:
    """Repeat a request with its key until it is answered; return how often it was cut, told to wait, and replayed."""
    key, seen, limit = str(uuid4()), Counter[str](), time.monotonic() + LIMIT_S
    while time.monotonic() < limit:
        try:
            status, headers, text = send(
                address, "POST", path, body, X_Auth_Token=token, Idempotency_Key=f'"{key}"'
            )
        except (OSError, HTTPException):
            seen["cut"] += 1
            continue
        if status == 202:
            seen["answered"] += 1
            seen["replayed"] += headers.get("Idempotency-Replayed") == "true"
            return seen
        assert status == 409 and b"under way" in text, (status, text)
        seen["told to wait"] += 1
        time.sleep(0.05)
    raise AssertionError(f"no answer in {LIMIT_S} s: {seen}")


def accepted(data: Path) -> Counter[str]:
    """Return how many actions of each name are recorded."""
    with closing(sqlite3.connect(f"file:{data / 'gantry.sqlite3'}?mode=ro", uri=True)) as database:
        return Counter(
            dict(database.execute("SELECT name, count(*) FROM servers_actionrecord GROUP BY name"))
        )


def test_as_many_actions_as_requests_whatever_is_cut(running: Running, proxy: CuttingProxy) -> None:
    token = login(running)
    servers, before = active_servers(running, token), accepted(running.data)

    def post(number: int) -> Counter[str]:
        server, body = servers[number // len(BODIES) % len(servers)], BODIES[number % len(BODIES)]
        return insist(proxy.address, f"/v2.1/servers/{server}/action", body, token)

    with ThreadPoolExecutor(CLIENTS) as pool:
        seen = sum(pool.map(post, range(POSTS)), Counter[str]())
    made = accepted(running.data) - before
    assert sum(made[name] for name in NAMES) == POSTS, (made, seen)
    assert seen["answered"] == POSTS
    assert seen["cut"] == proxy.cuts >= POSTS // 3
    assert seen["replayed"] > 0
    print(f"{POSTS} requests: {dict(seen)}, actions: {dict(made)}")
