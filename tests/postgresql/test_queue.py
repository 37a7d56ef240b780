"""What operators wait for is begun at once, whatever else waits: real processes, and PostgreSQL's own plan."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from servers.engine.execution.choice import due_of
from servers.models import ActionEvent, ActionRecord, Migration, Server
from servers.states import WEIGHTED_CLASSES, ActionStatus, QueueClass
from tests.postgresql.test_workers import LIVE, begin_held_move, let_backups_last
from tests.postgresql.workers import Workers, pid_of, until, until_over
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 1000
BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}
MOVE_BEGINS_S = 2.0
ABORT_ENDS_S = 3.0
NEXT_BEGINS_S = 1.0

Start = Callable[..., Workers]


def wait_by_the_thousand(fleet: SmallFleet, slug: str, name: QueueClass) -> None:
    """Let many actions of one class wait, each of a server of its own; their guests are nowhere."""
    of_all = Server.objects.get(pk=fleet.add_server(f"a-{slug}", vcpus=0, memory_mb=1, root_gb=0).pk)
    fields: dict[str, Any] = {"project_id": of_all.project_id, "user_id": "u", "vcpus": 0, "memory_mb": 1}
    first = 100_000 + Server.objects.count()
    servers = Server.objects.bulk_create(
        Server(name=f"{slug}-{number}", number=first + number, host=of_all.host, vm_state="active", **fields)
        for number in range(MANY)
    )
    facts = {"slug": slug, "name": slug, "queue_class": name, "request_id": "r", "user_id": "u"}
    ActionRecord.objects.bulk_create(
        ActionRecord(server=server, project_id="p", microversion="2.90", params=BACKUP, **facts)
        for server in servers
    )


def keep_busy(fleet: SmallFleet, start_workers: Start, processes: int) -> list[ActionRecord]:
    """Return what all worker processes do for hours: one moves, the others make backups, and many more wait."""
    let_backups_last(fleet)
    for number in range(processes):
        fleet.submit("create-backup", fleet.add_server(f"s{number}"), **BACKUP)
    start_workers(processes)
    running = ActionRecord.objects.filter(status=ActionStatus.RUNNING)
    until(lambda: running.count() == processes - 1, "not all that may make backups make one")
    wait_by_the_thousand(fleet, "create-backup", QueueClass.BACKUPS)
    return list(running)


def seconds(begin: Any, end: Any) -> float:
    assert begin is not None
    assert end is not None
    return float((end - begin).total_seconds())


def test_a_move_behind_a_thousand_backups_begins_at_once(fleet: SmallFleet, start_workers: Start) -> None:
    keep_busy(fleet, start_workers, 3)
    move = fleet.submit("live-migration", fleet.add_server("urgent"), **LIVE).record
    until_over(move)
    move.refresh_from_db()
    assert move.status == ActionStatus.SUCCEEDED, move.error_text
    print(f"from accept to start: {seconds(move.created_at, move.started_at):.3f} s")
    assert seconds(move.created_at, move.started_at) < MOVE_BEGINS_S


def test_an_abort_ends_at_once_while_every_process_is_busy(fleet: SmallFleet, start_workers: Start) -> None:
    keep_busy(fleet, start_workers, 2)
    server, record = begin_held_move(fleet)
    other = fleet.submit("live-migration", fleet.add_server("other"), **LIVE).record
    assert ActionRecord.objects.filter(status=ActionStatus.RUNNING).count() == 2
    number = Migration.objects.get(server=server).pk
    abort = fleet.submit("abort-migration", server, migration=number).record
    until_over(abort)
    abort.refresh_from_db()
    assert abort.status == ActionStatus.SUCCEEDED, abort.error_text
    print(f"from accept to end: {seconds(abort.created_at, abort.finished_at):.3f} s")
    assert seconds(abort.created_at, abort.finished_at) < ABORT_ENDS_S
    until_over(record)
    record.refresh_from_db()
    assert record.status == ActionStatus.CANCELLED
    fleet.simulation.clear_faults()
    until(lambda: ActionRecord.objects.get(pk=other.pk).attempt > 0, "the next move is never begun")


def test_what_a_killed_worker_has_left_is_taken_over_before_a_thousand_others(
    fleet: SmallFleet, start_workers: Start
) -> None:
    keep_busy(fleet, start_workers, 2)
    _, record = begin_held_move(fleet)
    wait_by_the_thousand(fleet, "reset-network", QueueClass.GENERAL)
    killed = pid_of(record)
    os.kill(killed, signal.SIGKILL)

    def taken_over() -> bool:
        record.refresh_from_db()
        return record.attempt > 1 and pid_of(record) != killed

    until(taken_over, "nobody takes the action over")
    others = ActionRecord.objects.filter(queue_class=QueueClass.GENERAL)
    assert not others.exclude(started_at=None).exists(), "something new was begun before"


def test_moves_of_one_host_follow_each_other_within_a_second(fleet: SmallFleet, start_workers: Start) -> None:
    start_workers(3)
    servers = [fleet.add_server(f"s{number}", memory_mb=64) for number in range(8)]
    records = [fleet.submit("live-migration", server, **LIVE).record for server in servers]
    until_over(*records)
    assert set(ActionRecord.objects.values_list("status", flat=True)) == {ActionStatus.SUCCEEDED}
    ends = sorted(Migration.objects.values_list("finished_at", flat=True))
    events = ActionEvent.objects.filter(name="compute_pre_live_migration")
    begins = sorted(events.values_list("started_at", flat=True))
    pauses = [seconds(end, begin) for end, begin in zip(ends, begins[1:], strict=False)]
    print(f"from one end to the next begin: {sorted(round(pause, 3) for pause in pauses)}")
    assert max(pauses) < NEXT_BEGINS_S
    attempts = sum(ActionRecord.objects.values_list("attempt", flat=True))
    assert attempts <= 3 * len(records), "whoever waits is taken when a slot is free, and not before"


@pytest.mark.parametrize("name", list(WEIGHTED_CLASSES))
def test_postgresql_finds_the_oldest_of_a_class_without_sorting_it(
    fleet: SmallFleet, name: QueueClass
) -> None:
    wait_by_the_thousand(fleet, "create-backup", QueueClass.BACKUPS)
    wait_by_the_thousand(fleet, "reset-network", QueueClass.GENERAL)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE servers_actionrecord")
    plan = due_of(name)[:1].explain()
    assert "action_in_queue" in plan, plan
    assert "Sort" not in plan, plan
