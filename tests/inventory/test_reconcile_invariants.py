"""Whatever is wrong, and however much of it: reconcile touches no guest, and what it repairs is repaired."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import clock
from servers.clock import VirtualClock
from servers.drivers.simulated.store import transaction as store
from servers.engine.execution.ownership import is_over
from servers.errors import Fault
from servers.fleet.guest_location import ALIVE
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import Allocation, Server
from tests.inventory.test_reconcile import SAFE, UNSAFE, Mess
from tests.small_fleet import SmallFleet

ALSO: dict[str, Mess] = {
    "silent source": lambda fleet, _: fleet.simulation.lose_host("node1"),
    "silent destination": lambda fleet, _: fleet.simulation.lose_host("node2"),
    "live action": lambda fleet, server: (
        fleet.submit("lock", server)
        and fleet.submit("live-migration", server, host=None, block_migration="auto")
    ),
    "cold move": lambda fleet, server: fleet.do("migrate", server),
    "reset": lambda fleet, server: fleet.do("reset-state", server, state="error"),
}
MESSES = {**SAFE, **UNSAFE, **ALSO}


def guests(fleet: SmallFleet, server: Server) -> dict[str, tuple[Any, ...]]:
    """Return, by host, all that may not change by a reconcile: how the guest is there, and what its disks hold."""
    with store(fleet.simulation.path) as db:
        rows = db.execute(
            "SELECT host, power_state, boots, run_s FROM guest WHERE NOT prepared_only"
        ).fetchall()
    return {row["host"]: (*row, fleet.simulation.disk_md5(row["host"], server.pk)) for row in rows}


def superseded(fleet: SmallFleet) -> set[str]:
    """Return where there is a copy that a cold move, which is over, has left of a guest that runs elsewhere."""
    with store(fleet.simulation.path) as db:
        rows = db.execute("SELECT * FROM guest WHERE NOT prepared_only").fetchall()
    runs = any(row["power_state"] in ALIVE for row in rows)
    left = [r for r in rows if r["power_state"] not in ALIVE and r["role"] in {"leaving", "arrived"}]
    return {row["host"] for row in left if runs and is_over(UUID(row["owner"]))}


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(sorted(MESSES)), min_size=1, max_size=5))
def test_nothing_goes_but_superseded_copies_and_a_second_pass_finds_nothing_to_repair(
    names: list[str],
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        override_settings(SIMULATED_FLEET=Path(folder) / "fleet"),
        clock.use(VirtualClock()),
        transaction.atomic(),
    ):
        fleet = SmallFleet()
        server = fleet.add_server()
        for name in sorted(
            names, key=lambda name: name.startswith("silent")
        ):  # else a mess waits for the host
            with suppress(Fault, IntegrityError, sqlite3.IntegrityError, ValueError), transaction.atomic():
                MESSES[name](fleet, server)
        before = guests(fleet, server)
        may_go = superseded(fleet)
        reconcile()
        after = guests(fleet, server)
        assert before.keys() - after.keys() <= may_go
        assert all(before.get(host) == guest for host, guest in after.items())
        assert [f for f in reconcile().found if f.finding.safe] == []
        assert Allocation.objects.filter(server=server).count() <= 1
        transaction.set_rollback(True)
