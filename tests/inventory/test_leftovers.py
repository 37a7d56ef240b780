"""What is left of a guest where it is not: taken up by the reconciler in its owner's name, or left to a person."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from servers.drivers.base import Guest
from servers.drivers.simulated.store import transaction as store
from servers.engine.execution.lease import Lease
from servers.errors import NotSupported
from servers.inventory.reconciliation import leftovers
from servers.inventory.reconciliation.reconcile import reconcile
from servers.inventory.reconciliation.repairs import RepairFence
from servers.models import ActionRecord, Server
from servers.models.reconcile import CHANGED, REPAIRED
from servers.states import PowerState
from tests.factories import make_migration
from tests.inventory.test_reconcile import kinds, leave_copied_disks, leave_old_copy
from tests.small_fleet import SmallFleet
from tests.unknown_guests import prepare


def own(fleet: SmallFleet, host: str, owner: object, role: str = "prepared") -> None:
    """Let what a host has of a guest belong to somebody."""
    with store(fleet.simulation.path) as db:
        db.execute("UPDATE guest SET owner = ?, role = ? WHERE host = ?", (str(owner), role, host))


def prepared_by(fleet: SmallFleet, server: Server, status: str = "failed") -> None:
    """Let node2 be prepared by a live migration of ours."""
    move = make_migration(server, status=status, source_compute="node1", dest_compute="node2")
    prepare(fleet, server, "node2")
    own(fleet, "node2", move.uuid)


def is_prepared(fleet: SmallFleet, server: Server, host: str = "node2") -> bool:
    with store(fleet.simulation.path) as db:
        return bool(db.execute("SELECT 1 FROM guest WHERE host = ? AND prepared_only", (host,)).fetchone())


def has_disks(fleet: SmallFleet, server: Server, host: str = "node2") -> bool:
    with store(fleet.simulation.path) as db:
        found = db.execute("SELECT 1 FROM disk WHERE host = ? AND guest = ?", (host, str(server.pk)))
        return bool(found.fetchone())


def outcomes() -> list[tuple[str, str]]:
    """Reconcile, and return what became of what."""
    return [(f.finding.kind.value, f.outcome) for f in reconcile().found]


def test_destination_that_a_failed_move_could_not_discard_is_cleared(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault(
        "live_migration", "node1", error="MigrationFailed", args={"host": "node1", "reason": "no"}
    )
    fleet.simulation.set_fault("rollback_live_migration", "node2", times=1)
    action = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert action.status == "failed" and action.result["not_undone"]
    assert is_prepared(fleet, server)
    assert outcomes() == [("destination_left", REPAIRED), ("undo_left", REPAIRED)]
    assert not is_prepared(fleet, server) and not has_disks(fleet, server)
    assert outcomes() == []
    assert fleet.simulation.running_on(server.pk) == "node1"


def test_what_was_made_ready_is_removed_in_its_owners_name(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    prepared_by(fleet, server)
    assert outcomes() == [("destination_left", REPAIRED)]
    assert not is_prepared(fleet, server)


@pytest.mark.parametrize("owner", [uuid4(), "no UUID at all"])
def test_what_belongs_to_nobody_of_ours_is_for_a_person(fleet: SmallFleet, owner: object) -> None:
    server = fleet.add_server()
    prepared_by(fleet, server)
    own(fleet, "node2", owner)
    assert outcomes() == [("destination_left", "")]
    assert is_prepared(fleet, server)


def test_what_belongs_to_a_move_that_is_not_over_stays_until_it_is(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    prepared_by(fleet, server, "preparing")
    assert outcomes() == [("destination_left", ""), ("migration_without_action", REPAIRED)]
    assert is_prepared(fleet, server)
    assert outcomes() == [("destination_left", REPAIRED)]


def test_old_copy_of_a_move_that_was_reset_goes_when_the_guest_is_seen_to_be_well(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    leave_old_copy(fleet, server)
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node2"]
    assert outcomes() == [("copy_left", REPAIRED)]
    assert fleet.simulation.defined_on(server.pk) == ["node2"]
    assert fleet.simulation.running_on(server.pk) == "node2" and not has_disks(fleet, server, "node1")


def test_old_copy_stays_while_the_guest_does_not_run(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    leave_old_copy(fleet, server)
    fleet.simulation.stop_guest("node2", server.pk)
    assert ("copy_left", "") in outcomes()
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node2"]


def test_old_copy_of_a_move_that_waits_for_its_confirmation_stays(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.do("migrate", server)
    assert outcomes() == []
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node2"]


def test_copy_of_which_nobody_says_whose_it_is_stays(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    leave_old_copy(fleet, server)
    own(fleet, "node1", "", role="")
    assert outcomes() == [("copy_left", "")]
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node2"]


def test_disks_that_nobody_could_remove_are_removed_once_and_it_is_written_down(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    leave_copied_disks(fleet, server)
    fleet.simulation.set_fault("disown", "node2", times=1)
    assert outcomes() == [("undo_left", "failed: disown was told to fail.")]
    assert has_disks(fleet, server)
    assert outcomes() == [("undo_left", REPAIRED)]
    assert not has_disks(fleet, server)
    assert ActionRecord.objects.get(slug="migrate").result["cleared"]


def test_what_was_left_on_a_host_that_does_not_answer_waits_for_it(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    leave_copied_disks(fleet, server)
    fleet.simulation.lose_host("node2")
    assert outcomes() == [("undo_left", "")]
    fleet.simulation.restore_host("node2")
    assert outcomes() == [("undo_left", REPAIRED)]


# ------------------------------------------------------------------------------ between look and removal


def meanwhile(monkeypatch: pytest.MonkeyPatch, happen: Any, *, looks: int) -> None:
    """Let something happen after so many looks of a removal."""
    driver_of = leftovers.driver_of
    opened: list[object] = []

    def open_driver(*host_and_fence: Any) -> Any:
        if len(opened) == looks:
            happen()
        opened.append(host_and_fence)
        return driver_of(*host_and_fence)

    monkeypatch.setattr(leftovers, "driver_of", open_driver)


def test_copy_that_somebody_starts_meanwhile_is_left_alone(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server(storage="local")
    leave_old_copy(fleet, server)

    def start() -> None:
        fleet.simulation.stop_guest("node2", server.pk)
        fleet.simulation.start_guest("node1", Guest(server.pk, "x", 1, 512))

    meanwhile(monkeypatch, start, looks=1)
    ((kind, outcome),) = outcomes()
    assert kind == "copy_left" and outcome.startswith("failed: Guest")
    assert fleet.simulation.running_on(server.pk) == "node1"
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node2"]


def test_guest_that_leaves_home_meanwhile_keeps_its_copy(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server(storage="local")
    leave_old_copy(fleet, server)
    meanwhile(monkeypatch, lambda: fleet.simulation.remove_guest("node2", server.pk), looks=0)
    ((_, outcome),) = outcomes()
    assert outcome.endswith("is not any more where it was seen.")
    assert fleet.simulation.defined_on(server.pk) == ["node1"]


def test_repair_whose_place_was_taken_removes_nothing(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    prepared_by(fleet, server)
    meanwhile(monkeypatch, lambda: fleet.submit("reset-state", server, state="active"), looks=2)
    assert outcomes() == [("destination_left", CHANGED)]
    assert is_prepared(fleet, server)
    assert not ActionRecord.objects.filter(slug="reconcile", status="queued").exists()


def test_repair_that_raises_gives_the_place_back(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    server = fleet.add_server()
    prepared_by(fleet, server)

    def fail() -> None:
        raise KeyError("pid")

    meanwhile(monkeypatch, fail, looks=2)
    assert outcomes() == [("destination_left", "failed: 'pid'")]
    record = ActionRecord.objects.get(slug="reconcile")
    assert (record.status, record.error_code, record.lease_until) == ("failed", "unforeseen", None)
    fleet.heartbeat()
    moved = fleet.do("live-migration", server, host="node3", block_migration="auto")
    assert moved.status == "succeeded", moved.error_text


def test_repair_starts_no_guest() -> None:
    fence = RepairFence(Lease(uuid4(), 1, "reconcile"), uuid4())
    with pytest.raises(NotSupported):
        fence.prove_alone(Guest(uuid4(), "web", 1, 1), "node1")


def test_prepared_host_where_the_guest_is_shut_down_at_home_is_cleared(fleet: SmallFleet) -> None:
    server = fleet.add_server(vm_state="stopped", power_state=PowerState.SHUTDOWN)
    prepared_by(fleet, server)
    assert kinds(reconcile(dry_run=True)) == [("destination_left", True)]
    assert outcomes() == [("destination_left", REPAIRED)]
