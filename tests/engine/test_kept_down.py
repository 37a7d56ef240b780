"""A guest is started nowhere while a host that may run it is silent; a host that never had it keeps no guest down."""

from __future__ import annotations

import pytest
from django.conf import settings

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Host, Server
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


def reverting_while_silent(fleet: SmallFleet, silent: str) -> tuple[Server, ActionRecord]:
    """Return a server whose move to node2 is reverted; a host falls silent once the copy on node2 is gone."""
    server = fleet.add_server(storage="local")
    fleet.do("migrate", server, host="node2")
    record = fleet.submit("revert-resize", server).record
    fleet.simulation.set_fault("finish_revert_migration", "node1", error="HypervisorUnavailable", times=1)
    run_until_idle(wait=False)
    fleet.simulation.lose_host(silent)
    return server, record


def try_for(virtual: VirtualClock, seconds: float) -> None:
    until = clock.now().timestamp() + seconds
    while clock.now().timestamp() < until:
        run_until_idle(wait=False)
        virtual.sleep(settings.UNKNOWN_RETRY_S)


def test_a_host_on_which_the_guest_was_last_seen_keeps_it_down_while_it_is_silent(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server, record = reverting_while_silent(fleet, "node2")
    try_for(virtual_clock, 30)
    record.refresh_from_db()
    assert record.status == ActionStatus.UNKNOWN
    assert "node2" in record.error_text
    assert fleet.simulation.running_on(server.pk) is None


def test_a_host_that_was_forced_down_lets_it_start(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    server, record = reverting_while_silent(fleet, "node2")
    Host.objects.filter(name="node2").update(forced_down=True)
    try_for(virtual_clock, 60)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.simulation.running_on(server.pk) == "node1"


def test_it_starts_as_soon_as_the_silent_host_has_answered(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server, record = reverting_while_silent(fleet, "node2")
    try_for(virtual_clock, 30)
    fleet.simulation.restore_host("node2")
    try_for(virtual_clock, 60)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.simulation.running_on(server.pk) == "node1"


def test_a_silent_host_that_never_had_it_keeps_no_guest_down(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server, record = reverting_while_silent(fleet, "node3")
    try_for(virtual_clock, 60)
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.simulation.running_on(server.pk) == "node1"
