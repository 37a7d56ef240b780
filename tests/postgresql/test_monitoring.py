"""Health and metrics of a real PostgreSQL: also of one that hangs, which says nothing at all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from servers.models import Worker
from servers.monitoring import database, health, records
from tests.postgresql.cluster import from_environment
from tests.postgresql.workers import until

pytestmark = pytest.mark.django_db(transaction=True)

SLACK_S = 20
"""For a machine that is slow; PostgreSQL itself would hang for as long as one lets it."""


@pytest.fixture(autouse=True)
def asked_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask as outside of tests: in a thread, for so long and no longer."""
    monkeypatch.setattr(database, "ASKER", database.Asker())
    for room in (health, records):
        monkeypatch.setattr(room, "within", database.within)


@contextmanager
def postgresql_hangs() -> Iterator[None]:
    """Let no process of PostgreSQL go on for the time of the block, as on a disk that does not answer."""
    pid = int((Path(from_environment().data) / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stopped = [pid, *map(int, children)]
    for each in stopped:
        with suppress(ProcessLookupError):  # one that has just served its last question
            os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in stopped:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def values() -> dict[str, list[float]]:
    return {
        metric.name: [sample.value for sample in metric.samples] for metric in records.Records().collect()
    }


def test_connections_are_shown_by_their_state(db: None) -> None:
    found = {
        sample.labels["state"]: sample.value
        for metric in records.Records().collect()
        if metric.name == records.CONNECTIONS.name
        for sample in metric.samples
    }
    assert found["active"] >= 1 and set(found) <= {
        "active",
        "idle",
        "idle in transaction",
        "none",
        "disabled",
    }


def test_figures_cost_six_queries(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(6):
        records.read()


def test_postgresql_that_hangs_is_unavailable_in_seconds_and_well_as_soon_as_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "HELD_S", 0)
    Worker.objects.create(name="here-1", processes=1)
    assert health.current().is_ready
    connection.close()
    with postgresql_hangs():
        began = time.monotonic()
        assert "does not answer" in health.current().reasons["database"]
        assert values() == {"gantry_database_up": [0]}
        assert time.monotonic() - began < health.LIMIT_S + records.LIMIT_S + SLACK_S
        assert not health.current().is_ready
        asked = [thread.name for thread in threading.enumerate() if thread.name.startswith("health ")]
        assert len(asked) == 1  # a second question is not put beside the first
    until(lambda: health.current().is_ready, "PostgreSQL goes on, and is not found to be well")
    assert values()["gantry_database_up"] == [1]
