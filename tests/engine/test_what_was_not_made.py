"""An undo takes back only what the journal says was made: what somebody else has put somewhere is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from servers.drivers.simulated.store import transaction as store
from servers.fleet.drivers import guest_of
from servers.models import ActionRecord, Server
from servers.states import ActionStatus, PowerState
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
LIVE = {"host": None, "block_migration": "auto"}


def at_hypervisors(fleet: SmallFleet, server: Server) -> list[tuple[Any, ...]]:
    """Return what is of the guest on any host, prepared or defined, and what its disks hold."""
    with store(fleet.simulation.path) as db:
        rows = db.execute(
            "SELECT host, power_state, boots, prepared_only FROM guest ORDER BY host"
        ).fetchall()
    return [(*row, fleet.simulation.disk_md5(row["host"], server.pk)) for row in rows]


def moved_by_hand(fleet: SmallFleet) -> Server:
    """Return a server that is recorded on node1, where an old copy is; somebody has it running on node2."""
    server = fleet.add_server(storage="local")
    fleet.simulation.stop_guest("node1", server.pk)
    fleet.simulation.add_guest("node2", guest_of(server))
    fleet.simulation.write_disk("node2", server.pk, "newer")
    return server


def copied_by_hand(fleet: SmallFleet) -> Server:
    """Return a server that runs on node1, of which somebody keeps a stopped copy on node2."""
    server = fleet.add_server(storage="local")
    fleet.simulation.add_guest("node2", guest_of(server), PowerState.SHUTDOWN)
    return server


@pytest.mark.parametrize("scene", [moved_by_hand, copied_by_hand])
def test_a_cold_move_that_is_refused_removes_nothing_at_its_destination(
    scene: Any, fleet: SmallFleet
) -> None:
    server = scene(fleet)
    before = at_hypervisors(fleet, server)
    record = fleet.do("migrate", server, host="node2")
    assert (record.status, record.result) == (ActionStatus.FAILED, {})
    assert at_hypervisors(fleet, server) == before


def test_a_live_move_that_is_refused_removes_nothing_at_its_destination(fleet: SmallFleet) -> None:
    server = copied_by_hand(fleet)
    before = at_hypervisors(fleet, server)
    record = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert record.status == ActionStatus.FAILED
    assert at_hypervisors(fleet, server) == before


def test_a_live_move_that_finds_the_guest_at_its_destination_leaves_it_running_there(
    fleet: SmallFleet,
) -> None:
    server = moved_by_hand(fleet)
    newer = fleet.simulation.disk_md5("node2", server.pk)
    record = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.simulation.running_on(server.pk) == "node2"
    assert fleet.simulation.disk_md5("node2", server.pk) == newer


@pytest.mark.parametrize(
    ("slug", "verb", "params"),
    [
        ("live-migration", "pre_live_migration", LIVE),
        ("migrate", "migrate_disk_and_power_off", {}),
        ("create-backup", "snapshot", {"name": "b", "backup_type": "daily", "rotation": 1}),
    ],
)
def test_a_call_that_was_refused_has_made_nothing_and_is_not_undone(
    slug: str, verb: str, params: dict[str, Any], fleet: SmallFleet
) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault(verb)
    record = fleet.do(slug, server, **params)
    assert record.status == ActionStatus.FAILED
    step = next(step for step in record.steps if not step["ended"])
    assert (step["effect"], step.get("undone")) == (None, None)


def test_a_revert_of_a_guest_that_was_moved_on_by_hand_starts_it_nowhere_else(fleet: SmallFleet) -> None:
    server = waiting_on_node2(fleet)
    fleet.simulation.remove_guest("node2", server.pk)
    fleet.simulation.add_guest("node3", guest_of(server))
    record = fleet.do("revert-resize", server)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "guest_on_two_hosts")
    assert fleet.simulation.running_on(server.pk) == "node3"
    assert fleet.simulation.defined_on(server.pk) == ["node1", "node3"]


def test_a_revert_destroys_nothing_while_the_guest_is_not_where_the_move_has_left_it(
    fleet: SmallFleet,
) -> None:
    server = waiting_on_node2(fleet)
    fleet.simulation.remove_guest("node2", server.pk)
    record = fleet.do("revert-resize", server)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "guest_not_found")
    assert fleet.simulation.running_on(server.pk) is None
    assert fleet.simulation.defined_on(server.pk) == ["node1"]


def waiting_on_node2(fleet: SmallFleet) -> Server:
    """Return a server that was moved cold to node2, and waits to be confirmed or reverted."""
    server = fleet.add_server(storage="local")
    record: ActionRecord = fleet.do("migrate", server, host="node2")
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    return server
