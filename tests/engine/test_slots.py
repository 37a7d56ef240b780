"""Who waits for a slot of a host costs nothing, and goes on when one is free, however that comes about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.clock import VirtualClock
from servers.engine.capacity import slots
from servers.engine.execution.choice import Choice, due
from servers.engine.execution.queue import freed_by, run_until_idle, sweep
from servers.engine.execution.task import WorkingTask
from servers.engine.judgement.judge import Outcome, close
from servers.engine.records import changes
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Migration
from servers.states import ActionStatus, MigrationStatus
from tests.carrying_out import carry_out
from tests.small_fleet import SmallFleet
from tests.stalling import LIVE, stalled_move
from tests.transactions import is_write

AT_ONCE_S = 1.0


def fresh(record: ActionRecord) -> ActionRecord:
    return ActionRecord.objects.get(pk=record.pk)


def wait_for_slot(fleet: SmallFleet, virtual: VirtualClock, name: str) -> ActionRecord:
    """Return a live migration from node1 that has come to where it waits."""
    virtual.sleep(0.01)
    record = fleet.submit("live-migration", fleet.add_server(name, memory_mb=64), **LIVE).record
    assert carry_out(record.pk, "worker", heartbeat=False)
    record = fresh(record)
    assert (record.status, record.waits_for_host) == (ActionStatus.QUEUED, "node1")
    return record


@pytest.fixture
def taken(fleet: SmallFleet) -> ActionRecord:
    """Return a live migration that has the only slot of node1, and waits for a judgement."""
    return stalled_move(fleet)


def end_by_judgement(fleet: SmallFleet, taken: ActionRecord) -> None:
    close(taken.pk, fleet.context(), "looked at it", Outcome.FAILED)


def end_by_reset(fleet: SmallFleet, taken: ActionRecord) -> None:
    fleet.submit("reset-state", taken.server, state="active")
    clock.sleep(2)
    assert carry_out(taken.pk, "worker", heartbeat=False)


def end_by_abort(fleet: SmallFleet, taken: ActionRecord) -> None:
    ActionRecord.objects.filter(pk=taken.pk).update(stalled_at=None, futile=0)
    fleet.submit("abort-migration", taken.server, migration=taken.migration_id)
    assert carry_out(taken.pk, "worker", heartbeat=False)


def end_by_success(fleet: SmallFleet, taken: ActionRecord) -> None:
    ActionRecord.objects.filter(pk=taken.pk).update(stalled_at=None, futile=0)
    assert carry_out(taken.pk, "worker", heartbeat=False)
    assert fresh(taken).status == ActionStatus.SUCCEEDED


def end_by_failure(fleet: SmallFleet, taken: ActionRecord) -> None:
    ActionRecord.objects.filter(pk=taken.pk).update(stalled_at=None, futile=0)
    fleet.simulation.set_fault("live_migration", "node1", mode="refuse")
    assert carry_out(taken.pk, "worker", heartbeat=False)
    assert fresh(taken).status == ActionStatus.FAILED
    fleet.simulation.clear_faults()


def end_by_reconcile(fleet: SmallFleet, taken: ActionRecord) -> None:
    ActionRecord.objects.filter(pk=taken.pk).update(
        status=ActionStatus.FAILED, stalled_at=None, finished_at=clock.now()
    )
    clock.sleep(3600)
    fleet.heartbeat()
    for _ in range(3):
        clock.sleep(120)
        fleet.heartbeat()
        reconcile(door="periodic", limit_s=20)


ENDS: dict[str, Callable[[SmallFleet, ActionRecord], None]] = {
    "success": end_by_success,
    "failure": end_by_failure,
    "abort": end_by_abort,
    "reset": end_by_reset,
    "judgement": end_by_judgement,
    "reconcile": end_by_reconcile,
}


@pytest.mark.parametrize("way", list(ENDS))
def test_however_a_migration_ends_the_oldest_that_waits_goes_on(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord, way: str
) -> None:
    first, second = (wait_for_slot(fleet, virtual_clock, name) for name in ("first", "second"))
    ENDS[way](fleet, taken)
    assert fresh(taken).is_over
    assert Migration.objects.get(pk=taken.migration_id).status not in slots.IN_SLOT
    assert (fresh(first).waits_for_host, fresh(second).waits_for_host) == ("", "node1")
    assert first.pk in {record.pk for record in due()}


def test_whoever_waits_is_asked_for_by_nobody(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord
) -> None:
    waiting = [wait_for_slot(fleet, virtual_clock, f"s{number}") for number in range(5)]
    virtual_clock.sleep(3600)
    assert not due().exists()
    with CaptureQueriesContext(connection) as queries:
        assert Choice().claim_next("worker") is None
        sweep()
    written = [q["sql"] for q in queries if is_write(q["sql"])]
    assert written == []
    assert {fresh(record).attempt for record in waiting} == {1}


def test_moves_of_one_host_follow_each_other_within_a_second(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    records = []
    for number in range(6):
        virtual_clock.sleep(0.01)
        server = fleet.add_server(f"s{number}", memory_mb=64)
        records.append(fleet.submit("live-migration", server, **LIVE).record)
    inside: list[None] = []

    def others_work() -> None:
        if not inside:
            inside.append(None)
            run_until_idle(wait=False)
            inside.clear()

    virtual_clock.on_sleep = others_work
    fleet.work()
    moves = list(Migration.objects.filter(status=MigrationStatus.COMPLETED).order_by("finished_at"))
    assert len(moves) == len(records)
    ends = sorted(move.finished_at for move in moves if move.finished_at)
    begins = sorted(prepared_at(record) for record in records)
    for end, begin in zip(ends, begins[1:], strict=False):
        assert 0 <= (begin - end).total_seconds() <= AT_ONCE_S
    assert {fresh(record).attempt for record in records} <= {1, 2}, "each is taken, and waits once at most"


def prepared_at(record: ActionRecord) -> Any:
    events = record.events.filter(name="compute_pre_live_migration")
    return events.values_list("started_at", flat=True)[0]


def test_whoever_has_ended_a_move_wakes_a_process_for_the_next_one(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord
) -> None:
    first = wait_for_slot(fleet, virtual_clock, "first")
    wait_for_slot(fleet, virtual_clock, "second")
    end_by_success(fleet, taken)
    assert freed_by(fresh(taken)) == [first]


def test_aborted_move_waits_no_longer(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord
) -> None:
    record = wait_for_slot(fleet, virtual_clock, "waits")
    fleet.submit("abort-migration", record.server, migration=record.migration_id)
    run_until_idle(wait=False)
    assert fresh(record).status == ActionStatus.CANCELLED


def test_reset_move_waits_no_longer(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord
) -> None:
    record = wait_for_slot(fleet, virtual_clock, "waits")
    fleet.submit("reset-state", record.server, state="active")
    fleet.work()
    assert fresh(record).status == ActionStatus.CANCELLED


def test_move_that_was_let_go_on_and_stopped_gives_its_turn_to_the_next_one(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord
) -> None:
    first, second = (wait_for_slot(fleet, virtual_clock, name) for name in ("first", "second"))
    end_by_success(fleet, taken)
    fleet.submit("abort-migration", first.server, migration=first.migration_id)
    assert carry_out(first.pk, "worker", heartbeat=False)
    assert fresh(first).status == ActionStatus.CANCELLED
    assert fresh(second).waits_for_host == ""


def test_slot_that_is_free_by_the_time_a_move_would_wait_is_taken_at_once(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    requeue = WorkingTask.requeue

    def end_first(task: WorkingTask, *args: Any, **fields: Any) -> None:
        monkeypatch.setattr(WorkingTask, "requeue", requeue)
        end_by_success(fleet, taken)
        requeue(task, *args, **fields)

    monkeypatch.setattr(WorkingTask, "requeue", end_first)
    record = fleet.submit("live-migration", fleet.add_server("next", memory_mb=64), **LIVE).record
    assert carry_out(record.pk, "worker", heartbeat=False)
    assert (fresh(record).status, fresh(record).waits_for_host) == (ActionStatus.QUEUED, "")


def test_sweep_lets_moves_go_on_that_nobody_has_woken(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (wait_for_slot(fleet, virtual_clock, name) for name in ("first", "second"))
    monkeypatch.setattr(changes.slots, "let_go_on", lambda host: 0)
    end_by_success(fleet, taken)
    assert not due().exists()
    monkeypatch.undo()
    sweep()
    assert [record.pk for record in due()] == [first.pk]
    sweep()
    assert fresh(second).waits_for_host == "node1", "one slot is free, and the first has not taken it yet"


def test_more_slots_after_a_restart_let_more_go_on(
    fleet: SmallFleet, virtual_clock: VirtualClock, taken: ActionRecord, settings: Any
) -> None:
    waiting = [wait_for_slot(fleet, virtual_clock, f"s{number}") for number in range(3)]
    settings.MAX_CONCURRENT_LIVE_MIGRATIONS = 3
    sweep()
    assert [fresh(record).waits_for_host for record in waiting] == ["", "", "node1"]
