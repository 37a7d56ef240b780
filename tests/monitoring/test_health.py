"""Whether Gantry can do its work: each check, who hears what of it, and how soon."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from io import StringIO
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from servers import clock
from servers.management.exit_codes import ExitCode
from servers.models import Project, Worker
from servers.monitoring import database, health
from servers.monitoring.health import CHECKS, Check, Finding, examine
from tests.blocked import blocked
from tests.conftest import Caller
from tests.factories import make_action, make_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(db: None) -> Worker:
    """Return a supervisor that has been there for an hour."""
    since = clock.now() - timedelta(hours=1)
    return Worker.objects.create(name="node1-0123", processes=4, started_at=since)


def waiting(project: Project, minutes: float, slug: str = "migrate", **fields: Any) -> None:
    """Record an action that is due since some minutes."""
    due_at = clock.now() - timedelta(minutes=minutes)
    make_action(make_server(project), slug=slug, status="queued", due_at=due_at, **fields)


def reasons() -> dict[str, str]:
    return examine().reasons


def test_all_is_well_with_a_database_that_fits_and_a_worker(worker: Worker) -> None:
    assert reasons() == {}
    assert [*examine().findings] == ["database", "migrations", "deployment", "workers", "queue"]


def test_without_a_worker_nothing_is_carried_out_and_nobody_is_ready(db: None) -> None:
    assert [*reasons()] == ["workers"]


def test_worker_that_was_not_heard_of_lately_is_none(worker: Worker) -> None:
    Worker.objects.update(seen_at=clock.now() - timedelta(seconds=20))
    assert [*reasons()] == ["workers"]


def test_action_that_waits_longer_than_the_limit_is_named_with_its_age(
    worker: Worker, project: Project, settings: Any
) -> None:
    settings.QUEUE_AGE_LIMIT_S = 300
    waiting(project, 4)
    assert reasons() == {}
    waiting(project, 6)
    assert reasons() == {"queue": "an action waits for a worker for 360 s, longer than 300 s"}


def test_backup_may_wait_all_night(worker: Worker, project: Project) -> None:
    waiting(project, 500, "create-backup")
    assert reasons() == {}


def test_action_waits_for_a_worker_only_since_there_is_one(worker: Worker, project: Project) -> None:
    waiting(project, 50)
    assert [*reasons()] == ["queue"]
    Worker.objects.update(started_at=clock.now())
    assert reasons() == {}


def test_action_that_has_to_wait_for_another_of_its_server_waits_for_no_worker(
    worker: Worker, project: Project
) -> None:
    server = make_server(project)
    lease = clock.now() + timedelta(seconds=10)
    make_action(server, slug="migrate", status="running", lease_until=lease)
    make_action(server, slug="migrate", status="queued", due_at=clock.now() - timedelta(hours=1))
    assert reasons() == {}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO django_migrations (app, name, applied) VALUES ('servers', '0099_flying', '2027-01-01')",
        "DELETE FROM django_migrations WHERE app = 'servers' AND name = "
        "(SELECT max(name) FROM django_migrations WHERE app = 'servers')",
    ],
    ids=["newer", "older"],
)
def test_database_that_is_newer_or_older_is_found_also_after_it_was_well(
    worker: Worker, statement: str
) -> None:
    assert reasons() == {}
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert [*reasons()] == ["migrations"]


def test_empty_database_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_fitting", [None])
    monkeypatch.setattr("servers.monitoring.health.MigrationRecorder.applied_migrations", lambda self: {})
    monkeypatch.setattr("servers.database_age.pending", lambda: ["servers.0001_initial"])
    assert "migrations" in reasons()


def test_what_nobody_has_foreseen_in_a_check_is_its_reason(worker: Worker) -> None:
    def fail() -> Finding:
        raise KeyError("odd")

    assert examine((Check("odd", fail), *CHECKS)).reasons == {"odd": "'odd'"}


def test_after_a_database_that_is_away_the_other_checks_are_not_asked(worker: Worker) -> None:
    with blocked() as block:
        found = reasons()
    assert block.asked == 1
    assert [*found] == [check.name for check in CHECKS]
    assert found["queue"].startswith("not asked: ")


# ------------------------------------------------------------------------------------ who hears what


def test_stranger_hears_a_word_and_no_figures(worker: Worker) -> None:
    for path in ("/healthz", "/readyz"):
        answer = Client().get(path, headers={"Host": "localhost"})
        assert (answer.status_code, answer.content) == (200, b"ok\n")
        assert "no-store" in answer["Cache-Control"]


def test_stranger_hears_a_word_and_no_reason_when_something_is_not_well(db: None) -> None:
    assert Client().get("/healthz").status_code == 200
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"unavailable\n")
    assert "no-store" in answer["Cache-Control"] and int(answer["Retry-After"]) > 0


def test_process_says_that_it_answers_without_its_database(db: None) -> None:
    with blocked() as block:
        assert Client().get("/healthz").status_code == 200
        assert not block.met
        assert Client().get("/readyz").status_code == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probe_reads_and_does_nothing_else(path: str, worker: Worker) -> None:
    assert Client().head(path).status_code == 200
    assert Client().post(path).status_code == 405


def test_who_may_reads_each_check_with_its_figures(admin: Caller, worker: Worker) -> None:
    found = admin.get("/gantry/v1/health").json()["health"]
    assert found["ready"] is True
    checks = {check["name"]: check for check in found["checks"]}
    assert [*checks] == [check.name for check in CHECKS]
    assert checks["workers"]["figures"]["processes"] == 4
    assert checks["queue"]["figures"] == {"oldest_s": 0.0, "limit_s": 300.0}


def test_nobody_else_reads_figures(manager: Caller, reader: Caller) -> None:
    for caller in (manager, reader):
        answer = caller.get("/gantry/v1/health")
        assert answer.status_code == 403 and "gantry:health" in answer.json()["forbidden"]["message"]


def health_command(*words: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command("health", *words, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


def test_command_prints_a_line_for_each_check_and_ends_with_zero(worker: Worker) -> None:
    code, said = health_command()
    assert code == ExitCode.DONE
    assert [line.split()[0] for line in said.splitlines()[1:]] == [check.name for check in CHECKS]


def test_command_ends_with_another_code_when_something_is_not_well(db: None) -> None:
    code, said = health_command("--json")
    assert code == ExitCode.UNAVAILABLE == json.loads(said)["exit_code"]
    with blocked():
        assert health_command()[0] == ExitCode.UNAVAILABLE


# -------------------------------------------------------------------------------------- how soon


@pytest.fixture
def asked_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask as outside of tests: in a thread, for so long and no longer."""
    monkeypatch.setattr(health, "within", database.within)
    monkeypatch.setattr(health, "LIMIT_S", 0.2)
    monkeypatch.setattr(database, "ASKER", database.Asker())


def test_database_that_hangs_is_unavailable_in_time_and_is_not_asked_again_meanwhile(
    asked_in_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, asked = Event(), []

    def hang() -> Finding:
        asked.append(time.monotonic())
        goes_on.wait(60)
        return Finding()

    monkeypatch.setattr(health, "CHECKS", (Check("database", hang),))
    try:
        for _ in range(3):
            monkeypatch.setattr(health, "HELD", health.Held())
            assert "does not answer" in health.current().reasons["database"]
    finally:
        goes_on.set()
    assert len(asked) == 1


def test_answer_is_held_so_that_nobody_keeps_the_database_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(health, "CHECKS", (Check("database", lambda: asked.append(1) or Finding()),))
    monkeypatch.setattr(health, "HELD_S", 3600)
    for _ in range(5):
        assert health.current().is_ready
    assert len(asked) == 1


def test_what_a_question_raises_is_raised_to_whoever_has_asked() -> None:
    def fail() -> None:
        raise OperationalError("locked")

    with pytest.raises(OperationalError, match="locked"):
        database.within(30, "a test", fail)
    assert database.within(30, "a test", lambda: 7) == 7
