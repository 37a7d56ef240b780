"""A database that fails once says nothing of the guest: behind the switch there is only forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

from servers.actions.create_backup import CreateBackup
from servers.actions.live_migrate import LiveMigrate
from servers.engine import images
from servers.engine.execution.task import WorkingTask
from servers.models import Image
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
LIVE = {"host": "node2", "block_migration": "auto"}
FAULTS = (OperationalError, InterfaceError)

Where = tuple[Any, str, Callable[..., bool]]
BACKUP: dict[str, Where] = {
    "as it ends": (WorkingTask, "end", lambda task, edge, *_: edge == "succeed"),
    "as the end is put into words": (CreateBackup, "finished", lambda *_: True),
    "as the rotation is written": (WorkingTask, "finish_step", lambda task, name: name == "rotate"),
    "as old images are marked": (images, "rotate", lambda *_: True),
    "as old images are removed": (images, "discard", lambda *_: True),
    "as the rotation begins": (WorkingTask, "begin_step", lambda task, name: name == "rotate"),
    "as it looks at the store": (images, "survey", lambda *_: True),
}
MOVE: dict[str, Where] = {
    "as it ends": (WorkingTask, "end", lambda task, edge, *_: edge == "succeed"),
    "as the end is put into words": (LiveMigrate, "finished", lambda *_: True),
    "as the source is to be cleaned": (WorkingTask, "begin_step", lambda task, name: name == "clean_source"),
    "as the arrival is ticked off": (WorkingTask, "finish_step", lambda task, name: name == "arrive"),
    "as the arrival begins": (WorkingTask, "begin_step", lambda task, name: name == "arrive"),
    "as the move is ticked off": (WorkingTask, "finish_step", lambda task, name: name == "move_guest"),
}


def break_once(patch: pytest.MonkeyPatch, where: Where, fault: type[Exception]) -> list[str]:
    """Let the database be lost the first time that it comes to this; return what was met."""
    owner, name, is_here = where
    real, met = getattr(owner, name), list[str]()

    def breaking(*args: Any, **kwargs: Any) -> Any:
        if not met and is_here(*args):
            met.append(name)
            raise fault("server closed the connection unexpectedly")
        return real(*args, **kwargs)

    patch.setattr(owner, name, breaking)
    return met


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", list(BACKUP))
def test_a_backup_whose_last_writes_are_lost_leaves_the_newest_and_what_it_has_promised(
    where: str, fault: type[Exception], fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="monday", backup_type="daily", rotation=1)
    met = break_once(monkeypatch, BACKUP[where], fault)
    record = fleet.do("create-backup", server, name="tuesday", backup_type="daily", rotation=1)
    assert met
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    (kept,) = Image.objects.filter(server=server, status="active")
    assert (kept.name, images.store().look(kept.pk).size_bytes) == ("tuesday", kept.size_bytes)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", list(MOVE))
def test_a_live_move_whose_connection_breaks_behind_the_switch_completes(
    where: str, fault: type[Exception], fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    met = break_once(monkeypatch, MOVE[where], fault)
    record = fleet.do("live-migration", server, **LIVE)
    assert met
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    state = fleet.state(server)
    assert state["migrations"] == [("completed", "node1", "node2")]
    assert (state["host"], state["runs_on"], state["server_charged_on"]) == ("node2", "node2", ["node2"])
    assert (state["migration_charged_on"], state["task_state"], state["open_events"]) == ([], "", 0)


def test_a_backup_that_fails_before_its_rotation_leaves_the_old_one(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="monday", backup_type="daily", rotation=1)
    fleet.simulation.set_fault("snapshot")
    record = fleet.do("create-backup", server, name="tuesday", backup_type="daily", rotation=1)
    assert record.status == ActionStatus.FAILED
    assert [i.name for i in Image.objects.filter(server=server, status="active")] == ["monday"]
