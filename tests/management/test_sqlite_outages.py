"""The whole of Gantry on SQLite, in mid-work, when its file is locked or its disk is full: 503, and then all goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from servers.errors import DatabaseUnavailable
from tests.disks import fill, small_disk
from tests.running import free_port, passwords

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 90.0
VERSION = "compute 2.60"
LEASE_TTL_S = 6
AWAY_S = 12.0
"""Longer than a lease, and longer than SQLite waits for a lock."""


class System:
    """`manage.py up` with its demo fleet on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        own = {"DATA_DIR": str(folder), "PORT": str(self.port), "LEASE_TTL": str(LEASE_TTL_S), "WORKERS": "2"}
        environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | own
        self.log = folder.parent / "up.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        self.until(lambda: "Gantry is up" in self.log.read_text(), "it does not come up")
        self.token = self.log_in()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.poll() is None and time.monotonic() < limit, f"{what}: {self.log.read_text()}"
            time.sleep(0.1)

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT_S)

    def ask(
        self, method: str, path: str, body: Any = None, token: str = ""
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of an answer."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=40)
        headers = {
            "Content-Type": "application/json",
            "X-Auth-Token": token,
            "OpenStack-API-Version": VERSION,
        }
        try:
            http.request(method, path, json.dumps(body) if body else None, headers)
            response = http.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()
        finally:
            http.close()

    def log_in(self) -> str:
        user = {
            "name": "admin",
            "domain": {"id": "default"},
            "password": passwords(self.folder)["admin"],
        }
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        _, headers, _ = self.ask(
            "POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        return headers["X-Subject-Token"]

    def act(self, server: str, action: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        return self.ask("POST", f"/v2.1/servers/{server}/action", action, self.token)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "gantry.sqlite3", timeout=30)) as database:
            return database.execute(statement).fetchall()

    def servers(self) -> list[str]:
        """Return servers that can be moved, or locked, at this moment."""
        rows = self.query(
            "SELECT uuid FROM servers_server WHERE vm_state = 'active' AND task_state = '' AND deleted_at IS NULL"
            " AND locked_by = '' AND power_state = 1 ORDER BY memory_mb, name"
        )
        return [str(UUID(uuid)) for [uuid] in rows]

    def status(self, server: str) -> str:
        """Return how it stands with what was asked of the server last."""
        [[status]] = self.query(
            f"SELECT status FROM servers_actionrecord WHERE server_id = '{UUID(server).hex}'"
            " ORDER BY created_at DESC LIMIT 1"
        )
        return str(status)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Return one on a small disk of its own, where one can be mounted."""
    folder = tmp_path_factory.mktemp("system") / "data"
    with ExitStack() as mounted:
        try:
            mounted.enter_context(small_disk(folder, 64))
        except pytest.skip.Exception:
            folder.mkdir(exist_ok=True)
        started = System(folder)
        yield started
        started.end()


@contextmanager
def locked(system: System) -> Iterator[None]:
    """Hold SQLite's lock in the block, as another program does that writes for long."""
    with closing(sqlite3.connect(system.folder / "gantry.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(system: System) -> Iterator[None]:
    """Take all the room that the disk has in the block."""
    ballast = fill(system.folder)
    yield
    ballast.unlink()


@pytest.mark.parametrize("away", [locked, full], ids=["locked", "full"])
def test_rest_says_503_and_what_was_accepted_goes_on(system: System, away: Any) -> None:
    if away is full and not system.folder.is_mount():
        pytest.skip("no disk can be mounted here, and nobody else's is to be filled")
    moved, other = system.servers()[:2]
    assert system.act(moved, {"os-migrateLive": {"host": None, "block_migration": "auto"}})[0] == 202
    system.until(lambda: system.status(moved) == "running", "it does not begin")
    with away(system):
        began = time.monotonic()
        status, headers, body = system.act(other, {"lock": None})
        assert status == 503, body
        assert time.monotonic() - began < AWAY_S
        assert int(headers["Retry-After"]) > 0
        assert json.loads(body) == {
            "serviceUnavailable": {"code": 503, "message": str(DatabaseUnavailable())}
        }
        assert system.ask("GET", "/v2.1/servers", None, system.token)[0] == 200  # what is read goes on
        time.sleep(max(AWAY_S - (time.monotonic() - began), 0))
    system.until(lambda: system.status(moved) == "succeeded", "it does not go on")
    assert system.act(other, {"lock": None})[0] == 202
    assert system.query("PRAGMA integrity_check") == [("ok",)]
    assert "ended with" not in system.log.read_text()  # neither the web server nor the supervisor has
