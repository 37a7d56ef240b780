"""Reconcile: each difference is made in the fleet and found; what is safe is repaired, and no guest is touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.clock import VirtualClock
from servers.drivers.base import Guest
from servers.drivers.simulated import disks
from servers.drivers.simulated.store import transaction as store
from servers.engine.execution.choice import due
from servers.inventory.reconciliation import leftovers, repairs
from servers.inventory.reconciliation.differences import Finding, Report
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Allocation, Divergence, Host, Migration, ReconcilePass, Server
from servers.models.reconcile import CHANGED, REPAIRED
from servers.states import ActionStatus, MigrationStatus, PowerState
from servers.supervisor.overdue import reconcile_when_due
from tests.factories import make_action, make_allocation, make_migration
from tests.small_fleet import SmallFleet
from tests.unknown_guests import place, prepare, run_twice, stranger


class Interrupted(BaseException):
    """The end of a worker in the middle of its work."""


Mess = Callable[[SmallFleet, Server], object]


def kinds(report: Report) -> list[tuple[str, bool]]:
    """Return what was found, and whether its repair is safe."""
    return [(f.finding.kind.value, f.finding.safe) for f in report.found]


def move_by_hand(fleet: SmallFleet, server: Server, host: str = "node2") -> None:
    """Let a guest run on another host, as after `virsh migrate`."""
    fleet.simulation.remove_guest("node1", server.pk)
    guest = Guest(server.pk, server.instance_name, server.vcpus, server.memory_mb)
    fleet.simulation.add_guest(host, guest)


def leave_copy(fleet: SmallFleet, server: Server, host: str = "node2") -> None:
    """Leave a definition of the guest that does not run on another host."""
    fleet.simulation.add_guest(host, Guest(server.pk, "copy", 1, 512), PowerState.SHUTDOWN)


def give_task(fleet: SmallFleet, server: Server) -> None:
    Server.objects.filter(pk=server.pk).update(task_state="migrating")


def leave_migration(fleet: SmallFleet, server: Server) -> None:
    """Leave a move half-way, as a crash does whose action was deleted: both hosts are charged."""
    move = make_migration(server, source_compute="node1", dest_compute="node2")
    Allocation.objects.filter(server=server).update(server=None, migration=move)
    make_allocation(server, Host.objects.get(name="node2"))


def prepare_ours(fleet: SmallFleet, server: Server) -> None:
    make_migration(server, status="failed", source_compute="node1", dest_compute="node2")
    prepare(fleet, server, "node2")


def hold_room_for_an_old_move(fleet: SmallFleet, server: Server) -> None:
    move = make_migration(server, status="error", source_compute="node3", dest_compute="node1")
    Allocation.objects.create(
        host=Host.objects.get(name="node3"), migration=move, vcpus=1, memory_mb=1, disk_gb=1
    )


def delete_server(fleet: SmallFleet, server: Server) -> None:
    fleet.simulation.remove_guest("node1", server.pk)
    Server.objects.filter(pk=server.pk).update(deleted_at=clock.now(), host=None)


def leave_old_copy(fleet: SmallFleet, server: Server) -> None:
    """Leave the copy of a move that nobody will confirm, since the server was reset."""
    fleet.do("migrate", server)
    fleet.do("reset-state", server, state="active")


def finish_for_nobody(fleet: SmallFleet, server: Server) -> None:
    """Leave a move waiting for a confirmation that is not possible, as a reset of an older version did."""
    fleet.do("migrate", server)
    Server.objects.filter(pk=server.pk).update(vm_state="active")


def leave_copied_disks(fleet: SmallFleet, server: Server) -> None:
    """Leave disks on a host where there is no guest, as a cold move does that could not remove what it has copied."""
    move = make_migration(
        server, migration_type="migration", status="error", source_compute="node1", dest_compute="node2"
    )
    left = {"not_undone": ["move_disk: the disks are in use"]}
    make_action(server, status="failed", migration=move, source_host="node1", result=left, left_on="node2")
    with store(fleet.simulation.path) as db:
        disks.lay(db, "node1", "node2", str(server.pk), owner=str(move.uuid))


SAFE: dict[str, Mess] = {
    "guest_elsewhere": move_by_hand,
    "power_state": lambda fleet, server: fleet.simulation.stop_guest("node1", server.pk),
    "task_without_action": give_task,
    "migration_without_action": leave_migration,
    "allocation_missing": lambda fleet, server: Allocation.objects.all().delete(),
    "allocation_wrong": lambda fleet, server: Allocation.objects.update(memory_mb=1),
    "allocation_left": hold_room_for_an_old_move,
    "destination_left": prepare_ours,
    "copy_left of a move that was reset": leave_old_copy,
    "undo_left": leave_copied_disks,
}
"""How to make each difference that is repaired."""


UNSAFE: dict[str, Mess] = {
    "guest_twice": lambda fleet, server: run_twice(fleet, server, "node2"),
    "guest_missing": lambda fleet, server: fleet.simulation.remove_guest("node1", server.pk),
    "copy_left": leave_copy,
    "move_waits_for_nobody": finish_for_nobody,
    "destination_left": lambda fleet, server: prepare(fleet, server, "node2"),
}
"""How to make each difference that a person has to decide."""


def test_fleet_in_order_has_no_differences(fleet: SmallFleet) -> None:
    fleet.add_server()
    fleet.do("migrate", fleet.add_server("waits for confirmation", storage="local"))
    fleet.do("live-migration", fleet.add_server("moved"), host=None, block_migration="auto")
    fleet.add_server("off", vm_state="stopped", power_state=PowerState.SHUTDOWN)
    report = reconcile()
    assert (kinds(report), report.silent, report.hosts) == ([], {}, 3)


@pytest.mark.parametrize("kind", list(SAFE))
def test_safe_difference_is_found_repaired_and_gone(fleet: SmallFleet, kind: str) -> None:
    server = fleet.add_server()
    SAFE[kind](fleet, server)
    shown = reconcile(dry_run=True)
    assert kinds(shown) == [(kind.split()[0], True)]
    assert kinds(reconcile(dry_run=True)) == kinds(shown)
    assert [f.outcome for f in reconcile().found] == [REPAIRED]
    assert kinds(reconcile()) == []


@pytest.mark.parametrize("kind", list(UNSAFE))
def test_difference_for_a_person_is_found_and_left_as_it_is(fleet: SmallFleet, kind: str) -> None:
    server = fleet.add_server()
    UNSAFE[kind](fleet, server)
    before = fleet.state(server)
    report = reconcile()
    assert kinds(report) == [(kind, False)]
    assert report.found[0].outcome == "" and report.found[0].finding.proposal
    assert fleet.state(server) == before
    assert kinds(reconcile()) == [(kind, False)]


def test_every_kind_is_made_by_some_test() -> None:
    assert {k.value for k in {*repairs.REPAIRS, *leftovers.AT_HYPERVISOR}} <= {
        kind.split()[0] for kind in SAFE
    }


def test_host_disks_and_room_follow_a_guest_that_was_moved_by_hand(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    move_by_hand(fleet, server)
    reconcile()
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["server_charged_on"]) == ("node2", "node2", ["node2"])
    assert server.disks.get().pool.identity.startswith("node2:")


@pytest.mark.parametrize(
    ("before", "power", "after"),
    [
        ("active", PowerState.SHUTDOWN, ("stopped", PowerState.SHUTDOWN)),
        ("active", PowerState.CRASHED, ("stopped", PowerState.CRASHED)),
        ("active", PowerState.PAUSED, ("active", PowerState.PAUSED)),
        ("error", PowerState.SHUTDOWN, ("error", PowerState.SHUTDOWN)),
    ],
)
def test_power_state_follows_the_hypervisor(
    fleet: SmallFleet, before: str, power: PowerState, after: tuple[str, PowerState]
) -> None:
    server = fleet.add_server(vm_state=before)
    fleet.simulation.stop_guest("node1", server.pk, power)
    reconcile()
    server.refresh_from_db()
    assert (server.vm_state, server.power_state) == after
    assert fleet.simulation.power_state("node1", server.pk) == power


@pytest.mark.parametrize(
    ("vm_state", "power"), [("stopped", PowerState.SHUTDOWN), ("paused", PowerState.PAUSED)]
)
def test_server_whose_guest_was_started_by_hand_is_active_and_the_guest_runs_on(
    fleet: SmallFleet, vm_state: str, power: PowerState
) -> None:
    server = fleet.add_server(vm_state=vm_state, power_state=power)
    fleet.simulation.stop_guest("node1", server.pk, PowerState.SHUTDOWN)
    fleet.simulation.start_guest("node1", Guest(server.pk, "x", 1, 512))
    reconcile()
    server.refresh_from_db()
    assert (server.vm_state, server.power_state) == ("active", PowerState.RUNNING)
    assert fleet.simulation.running_on(server.pk) == "node1"


def test_repair_is_recorded_with_the_server(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.stop_guest("node1", server.pk)
    reconcile()
    record = ActionRecord.objects.get()
    assert (record.name, record.door, record.status, record.exclusive) == (
        "reconcile",
        "reconcile",
        "succeeded",
        False,
    )
    assert record.result["repairs"] == [
        {
            "kind": "power_state",
            "found": "is shutdown on node1, is recorded as running (active)",
            "done": "Record what is seen: shutdown.",
        }
    ]


def test_dry_run_writes_nothing(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.stop_guest("node1", server.pk)
    reconcile(dry_run=True)
    server.refresh_from_db()
    assert server.power_state == PowerState.RUNNING
    assert not (
        ActionRecord.objects.exists() or Divergence.objects.exists() or ReconcilePass.objects.exists()
    )


def test_move_that_nobody_finishes_is_ended_where_the_guest_is(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    leave_migration(fleet, server)
    give_task(fleet, server)
    reconcile()
    state = fleet.state(server)
    assert state["migrations"] == [("failed", "node1", "node2")]
    assert (state["server_charged_on"], state["migration_charged_on"], state["task_state"]) == (
        ["node1"],
        [],
        "",
    )


def test_move_whose_guest_has_arrived_charges_the_destination(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    leave_migration(fleet, server)
    move_by_hand(fleet, server)
    assert kinds(reconcile()) == [("guest_elsewhere", True), ("migration_without_action", True)]
    state = fleet.state(server)
    assert (state["host"], state["server_charged_on"], state["migration_charged_on"]) == (
        "node2",
        ["node2"],
        [],
    )
    assert kinds(reconcile()) == []


def test_room_of_a_deleted_server_is_given_back(fleet: SmallFleet) -> None:
    delete_server(fleet, fleet.add_server())
    assert kinds(reconcile()) == [("allocation_left", True)]
    assert not Allocation.objects.exists()


def test_room_is_not_given_back_while_a_copy_of_the_guest_is_there(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    hold_room_for_an_old_move(fleet, server)
    leave_copy(fleet, server, "node3")
    assert ("allocation_left", False) in kinds(reconcile())
    assert Allocation.objects.count() == 2


@pytest.mark.parametrize("kind", [k for k in SAFE if k != "allocation_left"])
def test_nothing_is_repaired_while_the_servers_own_host_is_silent(fleet: SmallFleet, kind: str) -> None:
    server = fleet.add_server()
    SAFE[kind](fleet, server)
    fleet.simulation.lose_host("node1")
    before = fleet.state(server)
    report = reconcile()
    assert not any(f.finding.safe for f in report.found)
    assert fleet.state(server) == before
    assert report.silent == {"node1": "Connection to the hypervisor is broken on host"}


def test_server_with_a_live_action_is_never_touched(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.submit("live-migration", server, host=None, block_migration="auto")
    fleet.simulation.stop_guest("node1", server.pk)
    Allocation.objects.all().delete()
    before = fleet.state(server)
    assert kinds(reconcile()) == []
    assert fleet.state(server) == before


def test_move_that_goes_on_at_the_hypervisor_alone_is_left_to_go_on(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server = fleet.add_server()
    fleet.simulation.set_hold("live_migration", "node1")
    fleet.submit("live-migration", server, host=None, block_migration="auto")
    seen: list[tuple[str, bool]] = []

    def lose_the_action() -> None:
        if not seen and Migration.objects.filter(status="running").exists():
            held = ActionRecord.objects.values().get()
            ActionRecord.objects.update(status=ActionStatus.FAILED)
            seen.extend(kinds(reconcile()))
            ActionRecord.objects.update(status=held["status"])
            raise Interrupted

    virtual_clock.on_sleep = lose_the_action
    with pytest.raises(Interrupted):
        fleet.work()
    assert seen == [
        ("task_without_action", False),
        ("migration_without_action", False),
        ("destination_left", False),
    ]
    assert fleet.simulation.running_on(server.pk) == "node1"


def test_action_whose_worker_is_silent_is_reported_and_left_to_the_next_one(
    fleet: SmallFleet, settings: Any
) -> None:
    server = fleet.add_server()
    long_ago = clock.now() - timedelta(seconds=settings.LEASE_TTL_S * 3)
    make_action(server, status="running", lease_until=long_ago, worker="dead:1")
    report = reconcile()
    assert kinds(report) == [("action_without_worker", False)]
    assert "dead:1" in report.found[0].finding.what


def test_server_that_changes_while_hypervisors_are_asked_is_left_alone(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    fleet.simulation.stop_guest("node1", server.pk)
    repair = repairs.repair

    def change_first(number: Any, revision: int, findings: list[Finding]) -> str:
        row = Server.objects.get(pk=server.pk)
        row.locked_by = "owner"
        row.store("locked_by")
        return repair(number, revision, findings)

    monkeypatch.setattr("servers.inventory.reconciliation.reconcile.repair", change_first)
    assert [f.outcome for f in reconcile().found] == [CHANGED]
    server.refresh_from_db()
    assert server.power_state == PowerState.RUNNING


def test_no_move_begins_while_a_destination_is_cleared(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    prepare_ours(fleet, server)
    accepted = []
    driver_of = leftovers.driver_of

    def ask_for_a_move(*host_and_fence: Any) -> Any:
        if not accepted:
            accepted.append(fleet.submit("live-migration", server, host=None, block_migration="auto").record)
        assert not due().exists()
        accepted[0].refresh_from_db()
        assert accepted[0].status == ActionStatus.QUEUED and not accepted[0].begun
        return driver_of(*host_and_fence)

    monkeypatch.setattr(leftovers, "driver_of", ask_for_a_move)
    assert [f.outcome for f in reconcile().found] == [REPAIRED]
    fleet.work()
    accepted[0].refresh_from_db()
    assert accepted[0].status == ActionStatus.SUCCEEDED, accepted[0].error_text


def test_leftover_that_cannot_be_removed_now_is_tried_again(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    prepare_ours(fleet, server)
    fleet.simulation.set_fault("rollback_live_migration", "node2", times=1)
    assert [f.outcome for f in reconcile().found] == ["failed: rollback_live_migration was told to fail."]
    assert ActionRecord.objects.get().status == ActionStatus.FAILED
    assert [f.outcome for f in reconcile().found] == [REPAIRED]


def test_place_that_a_dead_repair_held_is_given_back(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    server = fleet.add_server()
    prepare_ours(fleet, server)
    (found,) = reconcile(dry_run=True).found
    assert repairs.hold(server.pk, server.revision, found.finding)
    record = fleet.submit("live-migration", server, host=None, block_migration="auto").record
    reconcile()
    record.refresh_from_db()
    assert record.status == ActionStatus.QUEUED
    virtual_clock.sleep(301)
    fleet.heartbeat()
    reconcile()
    assert ActionRecord.objects.get(slug="reconcile").status == ActionStatus.FAILED
    fleet.work()
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text


def test_reset_takes_the_place_of_a_repair_that_hangs(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    prepare_ours(fleet, server)
    (found,) = reconcile(dry_run=True).found
    lease = repairs.hold(server.pk, server.revision, found.finding)
    assert lease is not None
    fleet.submit("reset-state", server, state="error")
    assert repairs.let_go(lease, None) == CHANGED
    assert not ActionRecord.objects.filter(slug="reconcile", status="queued").exists()


def test_what_was_found_is_kept_with_the_time_since_when_it_is_so(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server = fleet.add_server()
    fleet.simulation.remove_guest("node1", server.pk)
    began = clock.now()
    reconcile()
    virtual_clock.sleep(3600)
    reconcile()
    kept = Divergence.objects.get()
    assert (kept.kind, kept.hosts, kept.first_seen_at, kept.safe) == (
        "guest_missing",
        ["node1"],
        began,
        False,
    )
    assert ReconcilePass.objects.get().finished_at == clock.now()


def test_strangers_are_no_difference(fleet: SmallFleet) -> None:
    place(fleet, stranger())
    assert kinds(reconcile()) == []


def test_pass_is_made_once_in_an_interval_whoever_asks(
    fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any
) -> None:
    settings.RECONCILE_INTERVAL_S = 60
    assert reconcile_when_due() is not None
    assert reconcile_when_due() is None
    virtual_clock.sleep(61)
    assert reconcile_when_due() is not None
    settings.RECONCILE_INTERVAL_S = 0
    virtual_clock.sleep(1_000_000)
    assert reconcile_when_due() is None


@pytest.mark.parametrize("number", [1, 12])
def test_pass_costs_the_same_with_any_number_of_servers(number: int, fleet: SmallFleet) -> None:
    for n in range(number):
        fleet.add_server(f"s{n}", vcpus=0, memory_mb=1, root_gb=0)
    with CaptureQueriesContext(connection) as queries:
        reconcile(dry_run=True)
    assert len(queries) == 6, [query["sql"][:90] for query in queries.captured_queries]


def test_unfinished_migrations_of_every_status_can_be_ended(fleet: SmallFleet) -> None:
    for number, status in enumerate(MigrationStatus):
        if status in {
            "accepted",
            "queued",
            "preparing",
            "running",
            "pre-migrating",
            "migrating",
            "post-migrating",
        }:
            make_migration(
                fleet.add_server(f"s{number}", memory_mb=1), status=status.value, source_compute="node1"
            )
    report = reconcile()
    assert len(report.found) == 7 and {f.outcome for f in report.found} == {REPAIRED}
    assert kinds(reconcile()) == []
