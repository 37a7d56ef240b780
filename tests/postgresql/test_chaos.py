"""Machines whose clocks differ, and connections that are cut: nobody's work is stolen, and nothing fails of it.

CUTS says how many actions are cut how often; the long run is CUTS=100.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from servers.models import ActionRecord, Host
from servers.states import ActionStatus
from tests.postgresql.workers import Workers, until, until_over
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

CUTS = int(os.environ.get("CUTS", "12"))
ACTIONS = int(os.environ.get("SKEWED_ACTIONS", "8"))
Start = Callable[..., Workers]
BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}


@pytest.mark.parametrize("skew_s", [600, -600, 10_800, -10_800])
def test_a_machine_whose_clock_is_off_steals_no_lease_and_fails_nothing(
    fleet: SmallFleet, start_workers: Start, skew_s: int
) -> None:
    start_workers(2)
    start_workers(2, module="tests.postgresql.skewed", SKEW_S=str(skew_s))
    servers = [fleet.add_server(f"web-{number}", storage="local") for number in range(ACTIONS)]
    fleet.heartbeat()
    records = [
        fleet.submit("migrate", server).record
        if number % 2
        else fleet.submit("create-backup", server, **BACKUP).record
        for number, server in enumerate(servers)
    ]
    until_over(*records)
    for record in ActionRecord.objects.filter(pk__in=[r.pk for r in records]):
        assert (record.status, record.attempt) == (ActionStatus.SUCCEEDED, 1), record.error_text


@contextmanager
def cutting(times: int) -> Iterator[list[int]]:
    """Cut a connection of some worker again and again, as a failover or an administrator does, inside the block."""
    cut: list[int] = []
    over = threading.Event()

    def run() -> None:
        while len(cut) < times and not over.wait(random.uniform(0.02, 0.2)):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pid, pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid != pg_backend_pid() AND pid != %s"
                    " AND backend_type = 'client backend' ORDER BY state = 'idle', random() LIMIT 1) AS one",
                    [spared],
                )
                cut.extend(pid for pid, done in cursor.fetchall() if done)
        connection.close()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        spared = cursor.fetchone()[0]
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield cut
    finally:
        over.set()
        thread.join(30)


def test_connections_that_are_cut_fail_no_action(fleet: SmallFleet, start_workers: Start) -> None:
    start_workers(4)
    Host.objects.update(vcpus=1000, memory_mb=1_000_000, disk_gb=100_000)
    records = []
    with cutting(CUTS) as cut:
        for number in range(CUTS):
            server = fleet.add_server(f"web-{number}", storage="local")
            fleet.heartbeat()
            slug, params = [("migrate", {}), ("create-backup", BACKUP)][number % 2]
            records.append(fleet.submit(slug, server, **params).record)
            if number % 4 == 3:
                until_over(*records)
        until_over(*records)
        until(lambda: len(cut) >= CUTS, "not cut often enough")
    ended = ActionRecord.objects.filter(pk__in=[r.pk for r in records])
    print(f"{len(cut)} connections cut, attempts {sorted(r.attempt for r in ended)[-5:]}")
    assert {record.status for record in ended} == {ActionStatus.SUCCEEDED}, [
        (r.slug, r.status, r.error_text) for r in ended if r.status != ActionStatus.SUCCEEDED
    ]
