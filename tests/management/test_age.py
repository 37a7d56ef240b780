"""Code that cannot work with a database says so in a sentence, and does not start."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.db import OperationalError, ProgrammingError, connection

from servers import database_age
from servers.errors import StrangeDatabase
from servers.management.exit_codes import ExitCode, of_fault
from servers.management.on_database import OnDatabase
from tests.running import ROOT, free_port

LIMIT_S = 90
STRANGE = {
    "INSERT INTO django_migrations (app, name, applied) VALUES ('servers', '0099_flying', '2027-01-01')": (
        "The database is newer than this Gantry: it has been through 0099_flying"
    ),
    "DROP TABLE servers_auditlink": (
        "The database cannot be brought up to date: by its own account it has servers_auditlink"
    ),
}
"""What makes a database strange, and how it is said."""

MANAGE = [sys.executable, "manage.py"]
STARTS = {
    "up": ([*MANAGE, "up", "--empty"], ExitCode.STRANGE_DATABASE),
    "work": ([*MANAGE, "work"], ExitCode.STRANGE_DATABASE),
    "reconcile": ([*MANAGE, "reconcile"], ExitCode.STRANGE_DATABASE),
    "serve": ([*MANAGE, "serve"], ExitCode.STRANGE_DATABASE),
}
"""What starts, and the exit code with which it does not."""
LOOK_THEMSELVES = {"draw_states", "health", "policy", "serve", "up", "work"}
"""Commands that need no database, or not at once."""


@pytest.fixture(scope="module")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database that is up to date."""
    folder = tmp_path_factory.mktemp("brought-up")
    run([sys.executable, "manage.py", "migrate", "--verbosity=0"], folder).check_returncode()
    return folder


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with the data in a folder, and with no other database."""
    environment = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "QUEUE"}}
    environment |= {"DATA_DIR": str(folder), "PORT": str(free_port())}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


@pytest.mark.parametrize("start", list(STARTS))
@pytest.mark.parametrize("change", list(STRANGE))
def test_nothing_starts_on_a_strange_database(
    start: str, change: str, brought_up: Path, tmp_path: Path
) -> None:
    shutil.copytree(brought_up, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "gantry.sqlite3")) as database:
        database.execute(change)
        database.commit()
    command, code = STARTS[start]
    ended = run(command, tmp_path / "data")
    assert ended.returncode == code, ended.stderr
    assert STRANGE[change] in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("start", sorted(STARTS.keys() - {"up"} | {"demo"}))
def test_what_does_not_bring_a_database_up_asks_for_it(start: str, tmp_path: Path) -> None:
    command, code = STARTS.get(start, ([*MANAGE, start], ExitCode.STRANGE_DATABASE))
    ended = run(command, tmp_path / "data")
    assert ended.returncode == code, ended.stderr
    assert "Bring it up with manage.py migrate" in ended.stderr and "Traceback" not in ended.stderr


def test_a_script_is_told_in_its_own_form(brought_up: Path, tmp_path: Path) -> None:
    shutil.copytree(brought_up, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "gantry.sqlite3")) as database:
        database.execute(next(iter(STRANGE)))
        database.commit()
    ended = run([*MANAGE, "discover", "--json", "--yes"], tmp_path / "data")
    document = json.loads(ended.stdout)
    assert (document["error"]["code"], document["exit_code"], ended.returncode) == (
        "strange_database",
        11,
        11,
    )


def test_every_command_looks_at_the_database_first() -> None:
    ours = {name for name, app in get_commands().items() if app == "servers"}
    look = {name for name in ours if isinstance(load_command_class("servers", name), OnDatabase)}
    assert ours - look == LOOK_THEMSELVES


@pytest.mark.django_db
def test_a_database_that_is_as_it_should_be_is_no_stranger() -> None:
    assert database_age.strangeness() is None
    assert database_age.arrears() is None


@pytest.mark.django_db
def test_a_database_that_is_only_older_is_no_stranger_and_says_what_it_lacks() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'servers' AND name > '0016_audit_trail'")
        cursor.execute("DROP TABLE servers_secondfactor")
    assert database_age.strangeness() is None
    assert "has not been through servers.0017_sign_on" in str(database_age.arrears())
    database_age.refuse_strange_database(may_be_older=True)
    with pytest.raises(StrangeDatabase, match="older"):
        database_age.refuse_strange_database()


@pytest.mark.django_db
def test_a_newer_migration_of_somebody_elses_application_is_his_affair() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('procrastinate', '0099_x', CURRENT_TIMESTAMP)"
        )
    assert database_age.strangeness() is None


def test_a_database_that_is_away_is_no_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr(database_age, "strangeness", away)
    database_age.refuse_strange_database()


@pytest.mark.django_db
def test_what_refuses_is_a_fault_with_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_age, "strangeness", lambda: "It is strange.")
    with pytest.raises(StrangeDatabase, match="It is strange") as refused:
        database_age.refuse_strange_database()
    assert of_fault(refused.value) is ExitCode.STRANGE_DATABASE


def test_what_the_database_says_of_our_question_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd() -> None:
        raise ProgrammingError("syntax error")

    monkeypatch.setattr(database_age, "strangeness", odd)
    with pytest.raises(ProgrammingError):
        database_age.refuse_strange_database()
