"""What a free process begins next, and who is woken for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tasks_db.models import DBTaskResult
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from servers import clock
from servers.actions import definitions
from servers.actions.base import Exclusivity
from servers.clock import VirtualClock
from servers.engine.execution import choice
from servers.engine.execution.choice import ALL_CLASSES, Choice, due_of
from servers.engine.execution.lease import Lease, claim_row
from servers.engine.execution.queue import (
    BACKGROUND,
    CLASSES,
    CONTROL,
    MOST_ENTRIES,
    PROMPT,
    freed_by,
    run_next,
    sweep,
    work_as,
)
from servers.engine.execution.queues.base import work_queue
from servers.engine.execution.run import work
from servers.engine.execution.shares import Shares
from servers.management.commands.work import queues_of
from servers.models import ActionRecord, Migration, Server
from servers.states import WEIGHTED_CLASSES, ActionStatus, QueueClass
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}
LIVE = {"host": None, "block_migration": "auto"}
MANY = 10_000
FOR_A_CHOICE = 2
"""Queries in which a process finds what is next, when the class is there whose turn it is."""


def begun(process: Choice, count: int = 1) -> list[ActionRecord]:
    """Return what one process begins, one after the other, without ending anything."""
    leases = [process.claim_next("worker") for _ in range(count)]
    return [ActionRecord.objects.get(pk=lease.action) for lease in leases if lease is not None]


def slugs(process: Choice, count: int = 1) -> list[str]:
    return [record.slug for record in begun(process, count)]


def waiting(server: Server, name: str = "general", **fields: Any) -> ActionRecord:
    """Return an action of this class that waits, not yet saved; no step of it is ever run."""
    slug = {"moves": "live-migration", "backups": "create-backup"}.get(name, "reset-network")
    facts = {"slug": slug, "name": slug, "queue_class": name, "request_id": "r", "user_id": "u"}
    return ActionRecord(server=server, project_id="p", microversion="2.90", **facts | fields)


def moving(fleet: SmallFleet, name: str = "moving") -> tuple[Server, Lease, int]:
    """Return a server whose live migration runs, with the lease of the worker that does it, and its number."""
    server = fleet.add_server(name)
    fleet.submit("live-migration", server, **LIVE)
    lease = Choice().claim_next("worker")
    assert lease is not None
    server.refresh_from_db()
    migration = Migration.objects.create(
        server=server,
        migration_type="live-migration",
        status="running",
        user_id="u",
        project_id="p",
        source_compute="node1",
        source_node="node1",
        dest_compute="node2",
    )
    ActionRecord.objects.filter(pk=lease.action).update(migration=migration)
    return server, lease, migration.pk


# --------------------------------------------------------------------------------- what comes first


def test_move_goes_before_the_backups_of_a_night(fleet: SmallFleet) -> None:
    for number in range(5):
        fleet.submit("create-backup", fleet.add_server(f"s{number}"), **BACKUP)
    fleet.submit("reset-network", fleet.add_server("general"))
    fleet.submit("live-migration", fleet.add_server("urgent"), **LIVE)
    assert slugs(Choice(), 7) == ["live-migration", "reset-network", *["create-backup"] * 5]


def test_control_goes_before_everything_that_is_new(fleet: SmallFleet) -> None:
    server, _, number = moving(fleet)
    fleet.submit("live-migration", fleet.add_server("other"), **LIVE)
    fleet.submit("abort-migration", server, migration=number)
    assert slugs(Choice(), 2) == ["abort-migration", "live-migration"]


def test_what_a_dead_worker_has_left_goes_before_control(fleet: SmallFleet) -> None:
    fleet.submit("create-backup", fleet.add_server("left"), **BACKUP)
    left = begun(Choice())[0]
    server, _, number = moving(fleet)
    fleet.submit("abort-migration", server, migration=number)
    ActionRecord.objects.filter(pk=left.pk).update(lease_until=clock.now() - clock.now().resolution)
    assert slugs(Choice(), 2) == ["create-backup", "abort-migration"]


def test_what_was_asked_to_stop_goes_before_what_is_new(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    reset = fleet.add_server("reset")
    fleet.submit("create-backup", reset, **BACKUP)
    begun(Choice())
    fleet.submit("live-migration", fleet.add_server("other"), **LIVE)
    fleet.submit("reset-state", reset, state="active")
    virtual_clock.sleep(2)
    assert slugs(Choice(), 2) == ["create-backup", "live-migration"]


def test_process_for_control_takes_nothing_else(fleet: SmallFleet) -> None:
    server, _, number = moving(fleet)
    for slug, params in (("live-migration", LIVE), ("create-backup", BACKUP), ("reset-network", {})):
        fleet.submit(slug, fleet.add_server(slug), **params)
    fleet.submit("abort-migration", server, migration=number)
    assert slugs(Choice(CLASSES[CONTROL]), 5) == ["abort-migration"]


def test_of_several_processes_one_makes_no_backup_and_one_more_does_control_alone() -> None:
    assert queues_of(1) == [(CONTROL,), (CONTROL, PROMPT, BACKGROUND)]
    assert queues_of(3) == [(CONTROL,), (CONTROL, PROMPT), *[(CONTROL, PROMPT, BACKGROUND)] * 2]


def test_every_class_has_a_queue_and_every_queue_is_a_setting() -> None:
    assert sorted(name for names in CLASSES.values() for name in names) == sorted(QueueClass)
    assert set(settings.TASKS["default"]["QUEUES"]) == set(CLASSES)
    assert set(settings.QUEUE_WEIGHTS) == set(WEIGHTED_CLASSES)


def test_control_actions_and_no_others_are_in_the_class_of_control() -> None:
    control = {action for action in definitions.values() if action.queue_class is QueueClass.CONTROL}
    assert control == {a for a in definitions.values() if a.exclusivity is Exclusivity.CONTROL}
    assert not any(action.queue_class is QueueClass.STOPPING for action in definitions.values())


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    mix=st.lists(
        st.tuples(st.sampled_from(["s0", "s1", "s2", "s3"]), st.sampled_from(WEIGHTED_CLASSES)), max_size=14
    ),
    weights=st.fixed_dictionaries({name: st.integers(1, 9) for name in WEIGHTED_CLASSES}),
)
def test_whatever_waits_each_server_keeps_its_order_and_nobody_is_forgotten(
    servers: dict[str, Server], mix: list[tuple[str, QueueClass]], weights: dict[str, int]
) -> None:
    ActionRecord.objects.all().delete()
    now = clock.now()
    records = [
        waiting(servers[name], kind, created_at=now + number * now.resolution)
        for number, (name, kind) in enumerate(mix)
    ]
    ActionRecord.objects.bulk_create(records)
    process, order = Choice(), []
    process.shares = Shares(weights)
    while (lease := process.claim_next("worker")) is not None:
        record = ActionRecord.objects.get(pk=lease.action)
        assert not ActionRecord.objects.filter(
            status="queued", server=record.server_id, created_at__lt=record.created_at
        ).exists()
        order.append(record.pk)
        ActionRecord.objects.filter(pk=record.pk).update(status="succeeded", finished_at=now)
    assert Counter(order) == Counter(record.pk for record in records)


@pytest.fixture
def servers(fleet: SmallFleet) -> dict[str, Server]:
    return {name: fleet.add_server(name) for name in ("s0", "s1", "s2", "s3")}


def test_whoever_loses_a_claim_chooses_again(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleet.submit("reset-network", fleet.add_server("a")).record
    virtual_clock.sleep(1)
    second = fleet.submit("reset-network", fleet.add_server("b")).record
    chosen = []

    def overtaken(row: ActionRecord, worker: str) -> Lease | None:
        chosen.append(row.pk)
        if len(chosen) == 1:
            assert claim_row(row, "quicker") is not None
        return claim_row(row, worker)

    monkeypatch.setattr(choice, "claim_row", overtaken)
    lease = Choice().claim_next("worker")
    assert lease is not None
    assert chosen == [first.pk, second.pk]
    assert lease.action == second.pk


def test_choice_costs_two_queries_however_many_wait(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    ActionRecord.objects.bulk_create(
        [waiting(server, "backups", exclusive=False) for _ in range(MANY)]
        + [waiting(server, "moves", exclusive=False, waits_for_host="node1") for _ in range(MANY // 10)]
    )
    fleet.submit("live-migration", fleet.add_server("urgent"), **LIVE)
    with CaptureQueriesContext(connection) as queries:
        lease = Choice().claim_next("worker")
    assert lease is not None
    assert len([q for q in queries if q["sql"].startswith("SELECT")]) == FOR_A_CHOICE


@pytest.mark.parametrize("name", list(WEIGHTED_CLASSES))
def test_database_finds_the_oldest_of_a_class_without_sorting_it(fleet: SmallFleet, name: QueueClass) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("tests/postgresql/test_queue.py asks PostgreSQL")
    plan = due_of(name)[:1].explain()
    assert "USING INDEX action_in_queue (waits_for_host=? AND queue_class=?)" in plan
    assert "TEMP B-TREE" not in plan


# ------------------------------------------------------------------------------------- who is woken


def ready() -> dict[str, int]:
    return {queue: work_queue().count_ready(queue, 10 * MOST_ENTRIES) for queue in CLASSES}


def take_entries() -> None:
    """Let every entry be taken, as by processes that found nothing."""
    table = "procrastinate_jobs" if settings.QUEUE == "procrastinate" else DBTaskResult._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")


def test_accepting_wakes_a_process_of_the_actions_class(fleet: SmallFleet) -> None:
    server, _, number = moving(fleet)
    take_entries()
    fleet.submit("create-backup", fleet.add_server("nightly"), **BACKUP)
    fleet.submit("reset-network", fleet.add_server("general"))
    fleet.submit("abort-migration", server, migration=number)
    assert ready() == {CONTROL: 1, PROMPT: 1, BACKGROUND: 1}


def test_sweep_makes_the_entries_that_are_missing_and_no_more(fleet: SmallFleet) -> None:
    for number in range(3):
        fleet.submit("create-backup", fleet.add_server(f"s{number}"), **BACKUP)
    assert sweep() == 0
    take_entries()
    assert [sweep(), sweep()] == [3, 0]
    assert ready() == {CONTROL: 0, PROMPT: 0, BACKGROUND: 3}


def test_sweep_makes_no_more_entries_than_wake_everybody(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    ActionRecord.objects.bulk_create([waiting(server, exclusive=False) for _ in range(3 * MOST_ENTRIES)])
    assert [sweep(), sweep()] == [MOST_ENTRIES, 0]


def test_sweep_wakes_for_what_a_dead_worker_has_left(fleet: SmallFleet) -> None:
    fleet.submit("create-backup", fleet.add_server(), **BACKUP)
    begun(Choice())
    take_entries()
    assert sweep() == 0
    ActionRecord.objects.update(lease_until=clock.now() - clock.now().resolution)
    assert sweep() == 1


def test_sweep_costs_one_query_when_nothing_is_open(fleet: SmallFleet) -> None:
    fleet.do("reset-network", fleet.add_server())
    with CaptureQueriesContext(connection) as queries:
        assert sweep() == 0
    assert len(queries) == 1


def test_entry_that_finds_nothing_does_nothing(fleet: SmallFleet) -> None:
    work_as("test")
    run_next.call()
    assert not ActionRecord.objects.exists()


def test_entry_carries_out_what_comes_first_whatever_it_was_made_for(fleet: SmallFleet) -> None:
    work_as("test", [CONTROL, PROMPT])
    fleet.submit("create-backup", fleet.add_server("nightly"), **BACKUP)
    record = fleet.submit("reset-network", fleet.add_server("general")).record
    try:
        for _ in range(2):
            run_next.call()
    finally:
        work_as("test")
    statuses = dict(ActionRecord.objects.values_list("slug", "status"))
    assert statuses == {"reset-network": ActionStatus.SUCCEEDED, "create-backup": ActionStatus.QUEUED}
    assert ActionRecord.objects.get(pk=record.pk).attempt == 1


def test_end_of_an_action_wakes_a_process_for_the_next_one_of_its_server(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.submit("inject-network-info", server)
    second = fleet.submit("reset-network", server).record
    lease = Choice().claim_next("worker")
    assert lease is not None
    work(lease, heartbeat=False)
    assert freed_by(ActionRecord.objects.get(pk=lease.action)) == [second]


def test_classes_of_a_process_are_those_of_its_queues() -> None:
    assert set(Choice(ALL_CLASSES).shares.order()) == set(WEIGHTED_CLASSES)
    assert set(Choice(CLASSES[PROMPT]).shares.order()) == {QueueClass.MOVES, QueueClass.GENERAL}
