"""An abort only asks. What became of the move is known when its job is over, not before."""

from __future__ import annotations

import pytest
from django.conf import settings

from servers import clock
from servers.clock import VirtualClock
from servers.drivers.base import Guest
from servers.drivers.simulated.live import SimulatedLiveMigration
from servers.engine.execution.queue import run_until_idle
from servers.errors import Refusal
from servers.models import ActionRecord, Migration, Server
from servers.states import ActionStatus
from tests.engine.test_killed_workers import LIVE, Killed
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
SLOWLY_MIB_S = 20


def left_moving(fleet: SmallFleet, virtual: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server that moves to node2 by itself for half a minute: its worker has just been killed."""
    monkeypatch.setattr(settings, "LIVE_MIGRATION_BANDWIDTH_MIB_S", SLOWLY_MIB_S)
    server = fleet.add_server()

    def die() -> None:
        if Migration.objects.filter(server=server, status="running").exists():
            raise Killed

    virtual.on_sleep = die
    fleet.submit("live-migration", server, **{**LIVE, "host": "node2"})
    with pytest.raises(Killed):
        run_until_idle()
    virtual.on_sleep = None
    return server


def abort_and_go_on(fleet: SmallFleet, virtual: VirtualClock, server: Server) -> ActionRecord:
    """Ask for the abort, and let a successor of the killed worker go on."""
    fleet.submit("abort-migration", server, migration=server.migrations.latest("pk").pk)
    virtual.sleep(settings.LEASE_TTL_S + 1)
    fleet.heartbeat()
    run_until_idle(wait=False)
    return ActionRecord.objects.get(slug="live-migration", server=server)


def job_runs(fleet: SmallFleet, server: Server) -> bool:
    guest = Guest(server.pk, server.instance_name, server.vcpus, server.memory_mb)
    return fleet.simulation.job_of(guest) is not None


def test_an_abort_that_comes_too_late_ends_no_action_while_the_guest_still_moves(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = left_moving(fleet, virtual_clock, monkeypatch)
    monkeypatch.setattr(SimulatedLiveMigration, "abort", lambda self, guest: True)
    record = abort_and_go_on(fleet, virtual_clock, server)
    assert not job_runs(fleet, server)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["defined_on"]) == ("node2", "node2", ["node2"])
    assert (state["server_charged_on"], state["migration_charged_on"]) == (["node2"], [])


def test_an_abort_that_takes_a_while_is_waited_for_and_leaves_nothing_at_the_destination(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = left_moving(fleet, virtual_clock, monkeypatch)
    abort, asked_at = SimulatedLiveMigration.abort, list[float]()

    def asked(self: SimulatedLiveMigration, guest: Guest) -> bool:
        def take_effect() -> None:
            if clock.monotonic() > asked_at[0] + 3:
                virtual_clock.on_sleep = None
                abort(self, guest)

        if not asked_at:
            asked_at.append(clock.monotonic())
            virtual_clock.on_sleep = take_effect
        return True

    monkeypatch.setattr(SimulatedLiveMigration, "abort", asked)
    record = abort_and_go_on(fleet, virtual_clock, server)
    assert clock.monotonic() > asked_at[0] + 3
    assert record.status == ActionStatus.CANCELLED, record.error_text
    assert not job_runs(fleet, server)
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["defined_on"]) == ("node1", "node1", ["node1"])
    assert fleet.simulation.disk_md5("node2", server.pk) is None
    assert (record.result, state["server_charged_on"]) == ({}, ["node1"])


def test_nothing_else_begins_while_an_aborted_move_still_runs(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = left_moving(fleet, virtual_clock, monkeypatch)
    monkeypatch.setattr(SimulatedLiveMigration, "abort", lambda self, guest: True)
    accepted: list[str] = []

    def ask_for_a_backup() -> None:
        if job_runs(fleet, server):
            try:
                fleet.submit("create-backup", server, name="b", backup_type="d", rotation=1)
                accepted.append("create-backup")
            except Refusal:
                pass

    fleet.submit("abort-migration", server, migration=server.migrations.latest("pk").pk)
    virtual_clock.sleep(settings.LEASE_TTL_S + 1)
    virtual_clock.on_sleep = ask_for_a_backup
    fleet.heartbeat()
    run_until_idle(wait=False)
    assert accepted == []
