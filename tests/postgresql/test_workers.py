"""What was accepted is carried out once, by whichever process on whichever machine, and whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection, connections

from servers.drivers.base import Pool
from servers.engine.execution.queues.base import work_queue
from servers.models import ActionEvent, ActionRecord, Migration, Server, Worker
from servers.states import ActionStatus
from tests.conftest import Caller
from tests.postgresql.cluster import from_environment
from tests.postgresql.workers import Workers, pid_of, until, until_over
from tests.small_fleet import GIB, SHARED, SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = {"host": None, "block_migration": "auto"}
RACERS = 20
POLL_S = (
    5.0  # ASK_S of servers.engine.execution.queues.procrastinate, which cannot be imported without the extra
)

Start = Callable[..., Workers]


def count_bells(status: str = "") -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE status::text LIKE %s", [f"{status or '%'}"]
        )
        return int(cursor.fetchone()[0])


def begin_held_move(fleet: SmallFleet) -> tuple[Server, ActionRecord]:
    """Return a server in mid-migration: its copy goes on until somebody forces it to complete."""
    fleet.simulation.set_hold("live_migration", "node1")
    server = fleet.add_server()
    record = fleet.submit("live-migration", server, **LIVE).record
    until(lambda: Migration.objects.filter(server=server, status="running").exists(), "it does not move")
    record.refresh_from_db()
    return server, record


def complete(fleet: SmallFleet, server: Server, record: ActionRecord) -> None:
    """Let the held move complete, and check that the guest runs once and everything says where."""
    fleet.simulation.clear_faults()
    number = Migration.objects.get(server=server).pk
    forced = fleet.submit("force-complete", server, migration=number).record
    until_over(record, forced)
    record.refresh_from_db()
    server.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert server.host is not None
    assert server.host.name != "node1"
    assert fleet.simulation.running_on(server.uuid) == server.host.name
    assert Migration.objects.get(server=server).status == "completed"


def test_what_is_accepted_over_rest_is_carried_out_by_a_worker(
    fleet: SmallFleet, admin: Caller, start_workers: Start
) -> None:
    start_workers()
    server = fleet.add_server()
    answer = admin.post(f"/v2.1/servers/{server.uuid}/action", {"os-migrateLive": LIVE}, "2.34")
    assert answer.status_code == 202
    record = ActionRecord.objects.get(server=server)
    until_over(record)
    server.refresh_from_db()
    assert server.host is not None
    assert server.host.name != "node1"
    assert fleet.simulation.running_on(server.uuid) == server.host.name


def test_a_worker_is_woken_and_need_not_ask(fleet: SmallFleet, start_workers: Start) -> None:
    start_workers(1)
    server = fleet.add_server()
    until_over(fleet.submit("reset-network", server).record)  # the process is there, and listens
    waits = []
    for _ in range(20):
        record = fleet.submit("reset-network", server).record
        until_over(record)
        record.refresh_from_db()
        assert record.started_at is not None
        waits.append((record.started_at - record.created_at).total_seconds())
    waits.sort()
    print(f"bell to claim: p50 {waits[9] * 1000:.0f} ms, p95 {waits[18] * 1000:.0f} ms")
    assert waits[18] < POLL_S / 5


def test_of_twenty_simultaneous_requests_one_is_accepted(fleet: SmallFleet, admin: Caller) -> None:
    server = fleet.add_server()

    def ask(_: int) -> int:
        try:
            path = f"/v2.1/servers/{server.uuid}/action"
            return admin.post(path, {"os-migrateLive": LIVE}, "2.34").status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(RACERS) as pool:
        answers = Counter(pool.map(ask, range(RACERS)))
    assert answers == {202: 1, 409: RACERS - 1}
    assert ActionRecord.objects.filter(server=server).count() == 1
    assert count_bells("todo") == 1


def test_a_worker_killed_in_mid_migration_is_followed_by_another_and_the_guest_runs_once(
    fleet: SmallFleet, start_workers: Start
) -> None:
    start_workers()
    server, record = begin_held_move(fleet)
    killed = pid_of(record)
    os.kill(killed, signal.SIGKILL)

    def taken_over() -> bool:
        record.refresh_from_db()
        return record.attempt > 1 and record.status == ActionStatus.RUNNING and pid_of(record) != killed

    until(taken_over, "nobody takes the action over")
    assert fleet.simulation.running_on(server.uuid) == "node1"
    complete(fleet, server, record)
    assert Migration.objects.filter(server=server).count() == 1


def test_the_bell_of_a_killed_worker_is_forgotten_and_answered_ones_are_gone(
    fleet: SmallFleet, start_workers: Start
) -> None:
    start_workers()
    server, record = begin_held_move(fleet)
    os.kill(pid_of(record), signal.SIGKILL)
    until(lambda: ActionRecord.objects.get(pk=record.pk).attempt > 1, "nobody takes the action over")
    complete(fleet, server, record)
    until(lambda: count_bells("todo") == 0 and count_bells() == count_bells("doing") <= 1, "bells pile up")
    assert count_bells("doing") == 1  # the killed one's
    work_queue().tidy_up()
    assert count_bells("doing") == 1  # it might still answer
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    work_queue().tidy_up()
    assert count_bells() == 0


def test_two_machines_share_the_work_and_do_nothing_twice(fleet: SmallFleet, start_workers: Start) -> None:
    machines = [start_workers(2), start_workers(2)]
    until(lambda: Worker.objects.count() == 2, "a supervisor does not show up")
    until(lambda: count_workers() == 6, "a process does not listen")
    servers = [fleet.add_server(f"web-{number}", storage="local") for number in range(8)]
    records = [
        fleet.submit("create-backup", s, name="b", backup_type="daily", rotation=1).record for s in servers
    ]
    until_over(*records)
    records = list(ActionRecord.objects.filter(pk__in=[record.pk for record in records]))
    assert {record.status for record in records} == {ActionStatus.SUCCEEDED}
    assert all(any(machine.has(record) for record in records) for machine in machines)
    for record in records:
        events = Counter(ActionEvent.objects.filter(action=record).values_list("name", flat=True))
        assert set(events.values()) == {1}, events
        assert record.attempt == 1
        assert record.server.images.count() == 1


def let_backups_last(fleet: SmallFleet) -> None:
    """Let a backup of a server on node1 take hours."""
    local = Pool("local", "node1:/var/lib/libvirt/images", False, 1000 * GIB, 1000 * GIB)
    fleet.simulation.add_host("node1", memory_mb=8192, pools=[local, SHARED], disk_bytes_s=1_000)


def test_a_move_does_not_wait_for_the_backups_of_a_night(fleet: SmallFleet, start_workers: Start) -> None:
    let_backups_last(fleet)
    nightly = [fleet.add_server(f"s{number}") for number in range(6)]
    for server in nightly:
        fleet.submit("create-backup", server, name="b", backup_type="daily", rotation=1)
    start_workers(3)
    running = ActionRecord.objects.filter(slug="create-backup", status=ActionStatus.RUNNING)
    until(lambda: running.count() == 2, "not all processes that may make backups make one")
    move = fleet.submit("live-migration", fleet.add_server("urgent"), **LIVE).record
    until_over(move)
    move.refresh_from_db()
    assert move.status == ActionStatus.SUCCEEDED, move.error_text
    assert running.count() == 2


def count_workers() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_workers")
        return int(cursor.fetchone()[0])


def test_a_worker_ends_within_its_grace_and_another_one_takes_over(
    fleet: SmallFleet, start_workers: Start
) -> None:
    first = start_workers(1)
    server, record = begin_held_move(fleet)
    assert first.end() < 15
    assert not Worker.objects.exists()
    start_workers(1)
    until(lambda: ActionRecord.objects.get(pk=record.pk).attempt > 1, "nobody takes the action over")
    complete(fleet, server, record)


def test_a_bell_that_is_lost_is_rung_again(fleet: SmallFleet, start_workers: Start) -> None:
    record = fleet.submit("reset-network", fleet.add_server()).record
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    start_workers(1)
    until_over(record)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED


def test_a_crash_of_postgresql_in_mid_migration_loses_neither_action_nor_guest(
    fleet: SmallFleet, start_workers: Start
) -> None:
    start_workers()
    server, record = begin_held_move(fleet)
    cluster = from_environment()
    cluster.stop("immediate")
    connection.close()
    try:
        time.sleep(2 * settings.LEASE_TTL_S)  # every lease runs out, and nobody can renew one
        assert fleet.simulation.running_on(server.uuid) == "node1"
    finally:
        cluster.start()
    waiting = fleet.submit("reset-network", fleet.add_server("other")).record
    until_over(waiting)
    until(lambda: ActionRecord.objects.get(pk=record.pk).attempt > 1, "nobody takes the action over")
    assert fleet.simulation.running_on(server.uuid) == "node1"
    complete(fleet, server, record)
