"""Work that an earlier version has begun goes on: journals without effects, and stores without owners."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from servers.clock import VirtualClock
from servers.drivers.simulated import Fleet
from servers.models import ActionRecord, Server
from servers.states import ActionStatus
from tests.engine.test_killed_workers import SCENES, Killed, KillSwitch, finish, play, scratch
from tests.engine.test_killed_workers import switch as switch
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

OWNED = {"guest": ("owner", "role"), "disk": ("owner",), "job": ("owner",)}


def write_as_before(record: ActionRecord) -> None:
    """Let a journal be what it was: it said which steps were begun and ended, and nothing of effects."""
    record.refresh_from_db()
    record.steps = [{key: step[key] for key in ("name", "began", "ended")} for step in record.steps]
    record.save(update_fields=["steps"])


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("scene", list(SCENES))
def test_an_action_whose_journal_says_nothing_of_effects_is_brought_to_its_end(
    scene: str, part: float, virtual_clock: VirtualClock, switch: KillSwitch, tmp_path: Path, settings: Any
) -> None:
    with scratch(tmp_path, settings, "unharmed"):
        fleet = SmallFleet()
        server, _ = play(fleet, scene)
        switch.seen.clear()
        finish(virtual_clock)
        expected, points = fleet.state(server), len(switch.seen)
    with scratch(tmp_path, settings, "killed"):
        fleet = SmallFleet()
        switch.fatal = None
        server, record = play(fleet, scene)
        switch.seen.clear()
        switch.fatal = int(points * part)
        with pytest.raises(Killed):
            finish(virtual_clock)
        switch.fatal = None
        write_as_before(record)
        forget_owners(fleet, settings)
        finish(virtual_clock)
        assert fleet.state(server) == expected


def forget_owners(fleet: SmallFleet, settings: Any) -> None:
    """Let the store of the fleet be what it was: nothing in it said to whom it belongs."""
    old = fleet.simulation.path.with_suffix(".old")
    with closing(sqlite3.connect(fleet.simulation.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(fleet.simulation.path, old)
    with closing(sqlite3.connect(old)) as db:
        for (index,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%owner%'"
        ):
            db.execute(f"DROP INDEX {index}")
        for table, columns in OWNED.items():
            for column in columns:
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.commit()
    settings.SIMULATED_FLEET = old
    fleet.simulation = Fleet(old)


@pytest.mark.parametrize("then", ["confirm-resize", "revert-resize"])
@pytest.mark.parametrize("storage", ["shared", "local"])
def test_a_cold_move_that_waits_in_a_store_without_owners_is_confirmed_and_reverted(
    storage: str, then: str, fleet: SmallFleet
) -> None:
    server = fleet.add_server(storage=storage)
    fleet.do("migrate", server, host="node2")
    forget_owners(fleet, settings)
    record = fleet.do(then, server)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    host = "node2" if then == "confirm-resize" else "node1"
    assert (fleet.state(server)["host"], fleet.state(server)["runs_on"]) == (host, host)
    assert fleet.state(server)["defined_on"] == [host]


@pytest.mark.parametrize("then", ["confirm-resize", "revert-resize"])
def test_after_it_the_server_is_moved_and_saved_as_any_other(then: str, fleet: SmallFleet) -> None:
    server: Server = fleet.add_server(storage="local")
    fleet.do("migrate", server, host="node2")
    forget_owners(fleet, settings)
    for slug, params in (
        (then, {}),
        ("live-migration", {"host": "node3", "block_migration": "auto"}),
        ("create-backup", {"name": "b", "backup_type": "daily", "rotation": 1}),
        ("migrate", {"host": "node2"}),
        ("revert-resize", {}),
    ):
        record = fleet.do(slug, server, **params)
        assert record.status == ActionStatus.SUCCEEDED, f"{slug}: {record.error_text}"
    assert fleet.state(server)["runs_on"] == "node3"


def test_a_destination_that_was_prepared_before_owners_were_written_takes_the_next_move(
    fleet: SmallFleet,
) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault("live_migration", times=1)
    fleet.simulation.set_fault("rollback_live_migration", times=1)
    failed = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert failed.status == ActionStatus.FAILED
    forget_owners(fleet, settings)
    record = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
