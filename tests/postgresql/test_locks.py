"""Doors and workers lock rows in one order, so that none of them waits for somebody who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from servers.actions.task import Change
from servers.engine.accepting.restore import restore
from servers.engine.execution.lease import claim, fenced_record
from servers.engine.records import changes
from servers.inventory.discovery import apply, apply_hosts
from servers.inventory.discovery.discover import discover
from servers.models import ActionRecord, Host, Image, Migration, Server
from servers.states import ActionStatus, MigrationStatus, MigrationType
from tests.conftest import Caller
from tests.postgresql.workers import until
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def begin_move(fleet: SmallFleet) -> tuple[Server, ActionRecord, Migration]:
    """Return a server in a move that has a migration, and on which no worker works yet."""
    server = fleet.add_server()
    record = fleet.submit("live-migration", server, host=None, block_migration="auto").record
    record.migration = Migration.objects.create(
        server=server,
        migration_type=MigrationType.LIVE,
        status=MigrationStatus.RUNNING,
        statuses=[MigrationStatus.RUNNING.value],
        user_id=record.user_id,
        project_id=record.project_id,
        source_compute="node1",
        source_node="node1",
        old_vm_state="active",
    )
    record.save(update_fields=["migration"])
    return server, record, record.migration


def in_a_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Return `work` for a thread: it leaves no connection behind."""

    def close_behind() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return close_behind


@pytest.mark.parametrize("slug", ["force-complete", "abort-migration", "reset-state"])
def test_a_request_about_a_running_move_waits_for_the_worker_that_writes(
    fleet: SmallFleet, slug: str
) -> None:
    server, record, migration = begin_move(fleet)
    lease = claim(record.pk, "worker")
    assert lease is not None
    params: dict[str, Any] = {"state": "active"} if slug == "reset-state" else {"migration": migration.pk}

    def ask() -> ActionRecord:
        return fleet.submit(slug, server, **params).record

    with ThreadPoolExecutor(1) as pool:
        with fenced_record(lease) as row:
            asked = pool.submit(in_a_thread(ask))
            until(somebody_waits, "the request does not meet the worker's transaction")
            changes.apply(row, Change(progress=42, downtime_ms=7))
        asked.result(timeout=30)
    server.refresh_from_db()
    migration.refresh_from_db()
    record.refresh_from_db()
    assert migration.downtime_ms == 7
    if slug == "reset-state":
        assert (server.progress, record.status) == (0, ActionStatus.QUEUED)
        assert record.attempt == lease.attempt + 1
    else:
        assert (server.progress, record.status) == (42, ActionStatus.RUNNING)
        asked_at = record.force_requested_at if slug == "force-complete" else record.cancel_requested_at
        assert asked_at is not None


def test_a_host_that_is_switched_off_while_discovery_writes_it_stays_off(
    fleet: SmallFleet, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host.objects.get(name="node1")
    path = f"/v2.1/os-services/{host.service_uuid}"
    fill_host = apply_hosts.fill_host
    with ThreadPoolExecutor(1) as pool:
        asked: list[Future[Any]] = []

        def fill_and_be_interrupted(row: Host, facts: Any) -> None:
            if row.name == "node1":
                disable = in_a_thread(lambda: admin.put(path, {"status": "disabled"}, "2.53"))
                asked.append(pool.submit(disable))
                until(lambda: asked[0].done() or somebody_waits(), "nobody switches the host off")
            fill_host(row, facts)

        monkeypatch.setattr(apply_hosts, "fill_host", fill_and_be_interrupted)
        apply.adopt(discover(), apply.Owner(fleet.project.pk, "somebody"))
        assert asked[0].result(timeout=30).status_code == 200
    host.refresh_from_db()
    assert not host.enabled
    assert host.vcpus == discover().found["node1"].value.info.vcpus


def test_servers_that_are_restored_at_the_same_moment_have_different_names(fleet: SmallFleet) -> None:
    saved = fleet.add_server()
    fleet.do("create-backup", saved, name="nightly", backup_type="daily", rotation=1)
    image = Image.objects.get(server=saved)
    names = [f"again-{number}" for number in range(8)]

    def again(name: str) -> Any:
        return in_a_thread(lambda: restore(image, {"name": name}, fleet.context()))()

    with ThreadPoolExecutor(len(names)) as pool:
        accepted = list(pool.map(again, names))
    made = [one.record.server.instance_name for one in accepted]
    first = saved.number + 1
    assert sorted(made) == [f"instance-{number:08x}" for number in range(first, first + len(names))]
