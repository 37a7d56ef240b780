"""The one command that starts everything, as a real process."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from servers.management.commands import up as up_command
from servers.management.commands.up import take_data
from servers.management.listening import listen
from servers.supervisor.processes import Child, Stopping

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """`manage.py up` on a folder, without the demo fleet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        environment = {**os.environ, "DATA_DIR": str(folder), "PORT": str(self.port), "WORKERS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--empty"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, words: str) -> str:
        """Return what was printed up to the line with these words, or all of it."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if words in line:
                break
        return said

    def end(self) -> int:
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT_S)

    def workers(self) -> int:
        with closing(sqlite3.connect(self.folder / "gantry.sqlite3")) as db:
            return int(db.execute("SELECT count(*) FROM servers_worker").fetchone()[0])


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path)
    yield started
    if started.process.poll() is None:
        started.end()


def test_everything_comes_up_is_private_and_ends_with_ctrl_c(up: Up) -> None:
    assert "Gantry is up." in up.read_until("Gantry is up.")
    said = up.read_until("Ctrl-C stops everything")
    password = (up.folder / "admin_password").read_text().strip()
    assert f"Password  {password}" in said
    assert f"http://127.0.0.1:{up.port}/admin/" in said
    limit = time.monotonic() + LIMIT_S
    while not up.workers():
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert up.end() == 0
    assert up.workers() == 0
    listen("127.0.0.1", up.port).close()
    modes = {p.name: p.stat().st_mode & 0o077 for p in up.folder.iterdir() if p.is_file()}
    assert set(modes) >= {"admin_password", "openrc", "secret_key"}
    assert set(modes.values()) == {0}


@dataclass
class Alive(Child):
    """A child that runs, and notes how often it was looked after."""

    tended: int = 0

    def is_alive(self) -> bool:
        return True

    def tend(self) -> None:
        self.tended += 1


def answering(monkeypatch: pytest.MonkeyPatch, *statuses: int | None) -> None:
    """Let `/readyz` answer with these, one after the other, and then always with the last."""
    left = list(statuses)
    monkeypatch.setattr(up_command, "status_of", lambda host: left.pop(0) if len(left) > 1 else left[0])
    monkeypatch.setattr(up_command, "ASK_S", 0)


def wait(*children: Child) -> str:
    """Wait until all is well; return what is said."""
    err = StringIO()
    up_command.Command(stderr=err, no_color=True).wait_until_ready(list(children), "127.0.0.1", Stopping())
    return err.getvalue()


def test_worker_is_started_and_readiness_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, None, 503, 503, 200)
    web, worker = Alive("web", []), Alive("worker", [])
    assert wait(web, worker) == ""
    assert (web.tended, worker.tended) == (0, 3)


def test_what_is_not_well_after_a_minute_is_named_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    answering(monkeypatch, 503)
    monkeypatch.setattr(up_command, "READY_IN_S", -1)
    monkeypatch.setattr("django.db.connections.close_all", lambda: None)
    assert wait(Alive("web", []), Alive("worker", [])).startswith("Not well: workers: no worker was heard of")


def test_web_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, None)
    monkeypatch.setattr(up_command, "READY_IN_S", -1)
    with pytest.raises(CommandError, match="does not come up"):
        wait(Alive("web", []))


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} of 127.0.0.1 .* make up PORT={port + 1}"):
            listen("127.0.0.1", port)


def test_one_folder_is_served_once_at_a_time(tmp_path: Path) -> None:
    with take_data(tmp_path), pytest.raises(CommandError, match="runs already"):
        take_data(tmp_path)
