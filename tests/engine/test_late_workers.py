"""A worker that wakes after its successor, and after somebody's next action, finds its lease lost before it touches anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from servers.engine import images
from servers.models import Image, Server
from servers.states import ActionStatus, VmState
from tests.engine.late import sleep_at
from tests.engine.test_what_was_not_made import at_hypervisors
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

CALLS = ["move_disk_and_power_off", "finish"]


def running(fleet: SmallFleet) -> Server:
    return fleet.add_server(storage="local")


def stopped(fleet: SmallFleet) -> Server:
    return fleet.add_server(storage="local", vm_state=VmState.STOPPED.value, power_state=4)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("then", ["confirm-resize", "revert-resize", "wait"])
@pytest.mark.parametrize("scene", [running, stopped])
def test_a_late_worker_of_a_cold_move_touches_nothing_that_others_have_done(
    scene: Callable[[SmallFleet], Server],
    then: str,
    call: str,
    after: bool,
    fleet: SmallFleet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, seen = scene(fleet), list[Any]()

    def next_action() -> None:
        if then != "wait":
            assert fleet.do(then, server).status == ActionStatus.SUCCEEDED
        seen.append((fleet.state(server), at_hypervisors(fleet, server)))

    happened = sleep_at(monkeypatch, call, next_action, after=after)
    fleet.do("migrate", server, host="node2")
    assert happened == ["asleep", "awake"]
    assert [(fleet.state(server), at_hypervisors(fleet, server))] == seen


def test_a_late_worker_whose_copy_has_failed_starts_no_old_copy(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the rollback itself which is late: the guest runs at its destination by then."""
    server, seen = running(fleet), list[Any]()
    fleet.simulation.set_fault("migrate_disk_and_power_off", "node1", times=1, mode="fail_after")

    def look() -> None:
        seen.append(at_hypervisors(fleet, server))

    happened = sleep_at(monkeypatch, "finish_revert", look)
    fleet.do("migrate", server, host="node2")
    assert happened == ["asleep", "awake"]
    assert [at_hypervisors(fleet, server)] == seen


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after it"])
def test_a_late_worker_of_a_backup_ends_no_backup_of_its_successor(
    after: bool, fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    happened = sleep_at(monkeypatch, "snapshot", lambda: None, after=after)
    record = fleet.do("create-backup", server, name="b", backup_type="daily", rotation=1)
    assert happened == ["asleep", "awake"]
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    (kept,) = Image.objects.filter(server=server, status="active")
    assert images.store().look(kept.pk).size_bytes == kept.size_bytes


def test_a_late_worker_of_a_backup_leaves_the_next_backup_running(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    ends: list[str] = []

    def next_backup() -> None:
        record = fleet.do("create-backup", server, name="second", backup_type="daily", rotation=2)
        ends.append(record.status)

    happened = sleep_at(monkeypatch, "snapshot", next_backup, after=True)
    fleet.do("create-backup", server, name="first", backup_type="daily", rotation=2)
    assert happened == ["asleep", "awake"]
    assert ends == [ActionStatus.SUCCEEDED]
    assert Image.objects.filter(server=server, status="active").count() == 2


@pytest.mark.parametrize("call", ["confirm", "clean_source", "move", "prepare"])
def test_a_late_worker_of_another_call_changes_nothing(
    call: str, fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, seen = running(fleet), list[Any]()

    def move_on() -> None:
        there = Server.objects.get(pk=server.pk).host
        target = "node3" if there and there.name != "node3" else "node1"
        record = fleet.do("live-migration", server, host=target, block_migration="auto")
        assert record.status == ActionStatus.SUCCEEDED, record.error_text
        seen.append((fleet.state(server), at_hypervisors(fleet, server)))

    if call == "confirm":
        fleet.do("migrate", server, host="node2")
    happened = sleep_at(monkeypatch, call, move_on)
    if call == "confirm":
        fleet.do("confirm-resize", server)
    else:
        fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert happened == ["asleep", "awake"]
    assert [(fleet.state(server), at_hypervisors(fleet, server))] == seen
