"""Every command says in one sentence that there is no database, or no disk, and ends with a code of its own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from servers.errors import DatabaseUnavailable
from servers.management.exit_codes import ExitCode
from tests.disks import fill, protect, small_disk
from tests.running import free_port

ROOT = Path(__file__).parent.parent.parent
NOT_SEEN = "sqlite:////nowhere/gantry.sqlite3"
REFUSED = "postgres://gantry:secret@127.0.0.1:1/gantry"
COMMANDS = {
    "up": ["--empty"],
    "demo": [],
    "make_admin": [],
    "server_action": ["live-migration", "web-1", "--wait"],
    "image": ["restore", "nightly", "--name", "again"],
    "discover": ["--dry-run"],
    "reconcile": [],
    "judge": [],
    "workers": [],
    "logins": [],
    "deployment": [],
    "policy": ["check", "--user", "anna"],
    "audit": ["verify"],
    "migrate": [],
}
NEED_NONE = {"draw_states", "health"}
"""Commands that ask no database."""
STAY = {"serve", "work"}
"""Commands that wait for it."""


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DATA_DIR": str(folder), "PORT": str(free_port()), **variables}
    return subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command."""
    process = start(folder, *words, **variables)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_every_command_is_tried_here() -> None:
    folder = ROOT / "servers/management/commands"
    ours = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert ours == (set(COMMANDS) - {"migrate"}) | NEED_NONE | STAY


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_its_database_says_so_in_one_line(name: str, tmp_path: Path) -> None:
    code, out, err = run(tmp_path, name, *COMMANDS[name], DATABASE_URL=NOT_SEEN)
    assert err == f"{DatabaseUnavailable()} unable to open database file\n"
    assert (code, out) == (ExitCode.UNAVAILABLE, "")


@pytest.mark.skipif(find_spec("psycopg") is None, reason="psycopg is not installed: make procrastinate")
@pytest.mark.parametrize("name", ["up", "server_action"])
def test_a_command_without_its_postgresql_says_so_in_one_line(name: str, tmp_path: Path) -> None:
    code, _, err = run(tmp_path, name, *COMMANDS[name], DATABASE_URL=REFUSED)
    assert err.startswith(f"{DatabaseUnavailable()} connection failed: ") and err.count("\n") == 1
    assert "secret" not in err
    assert code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"]])
def test_a_program_that_asks_for_json_gets_json(words: list[str], tmp_path: Path) -> None:
    code, out, err = run(tmp_path, "reconcile", *words, DATABASE_URL=NOT_SEEN)
    document = json.loads(out)
    assert (code, err) == (ExitCode.UNAVAILABLE, "")
    assert document["exit_code"] == ExitCode.UNAVAILABLE
    assert document["error"]["code"] == "database_unavailable"


@pytest.mark.parametrize("words", [["work", "--processes", "1"], ["work", "--one", "a"]])
def test_a_worker_waits_for_its_database_and_ends_when_it_is_told_to(
    words: list[str], tmp_path: Path
) -> None:
    worker = start(tmp_path, *words, DATABASE_URL=NOT_SEEN)
    assert worker.stderr is not None
    assert any("unable to open database file" in line for line in worker.stderr)
    time.sleep(3)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=40)
    assert "Traceback" not in err, err


def test_a_mistake_keeps_its_traceback(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate", "--verbosity=0")[0] == 0
    with closing(sqlite3.connect(tmp_path / "gantry.sqlite3")) as database:
        # as if a model were ahead of its table
        database.execute("ALTER TABLE servers_server RENAME COLUMN locked_by TO kept_by")
    code, _, err = run(tmp_path, "server_action", "lock", str(uuid4()))
    assert "no such column" in err and "Traceback" in err
    assert code == 1


# ---------------------------------------------------------------------------------------- the disk


@pytest.mark.parametrize("name", ["up", "reconcile"])
def test_a_data_folder_that_cannot_be_written_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 1) as data:
        protect(data)
        code, _, err = run(data, name, *COMMANDS[name])
    assert err == f"A file cannot be used: {data}/secret_key: Read-only file system\n"
    assert code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["up", "demo", "reconcile", "server_action"])
def test_a_data_folder_that_was_written_and_cannot_be_any_more_is_said_in_one_line(
    name: str, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data", 16) as data:
        assert run(data, "migrate", "--verbosity", "0")[0] == 0
        protect(data)
        code, _, err = run(data, name, *COMMANDS[name])
    assert err.count("\n") == 1 and "Traceback" not in err, err
    assert code == ExitCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["up", "demo"])
def test_a_full_disk_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 8) as data:
        assert run(data, "migrate", "--verbosity", "0")[0] == 0
        fill(data)
        code, _, err = run(data, name, *COMMANDS[name])
    assert err.count("\n") == 1 and "Traceback" not in err, err
    assert code == ExitCode.UNAVAILABLE
