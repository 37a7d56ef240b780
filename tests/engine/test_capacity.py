"""Capacity when several want the same place: one gets it, the other finds another host or ends with its reason."""

from __future__ import annotations

import pytest

from servers.engine.capacity import claims
from servers.engine.capacity.usage import allocated
from servers.models import Allocation, Host
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet

BIG_MB = 5000  # two of them do not fit on a host


def oversubscribed() -> list[str]:
    """Return the hosts on which more is promised than there is room."""
    return [
        host.name
        for host in Host.objects.all()
        if any(used > room for used, room in zip(allocated(host), host.capacity(), strict=True))
    ]


def test_second_move_finds_another_host(fleet: SmallFleet) -> None:
    servers = [fleet.add_server(name, "node1", memory_mb=3000) for name in ("a", "b")]
    fleet.add_server("filler", "node2", memory_mb=3000)
    fleet.add_server("filler", "node3", memory_mb=3000)
    for server in servers:
        fleet.submit("migrate", server)
    fleet.work()
    hosts = sorted(str(fleet.state(server)["host"]) for server in servers)
    assert hosts == ["node2", "node3"]
    assert oversubscribed() == []


def test_last_place_goes_to_one_and_the_other_learns_why(fleet: SmallFleet) -> None:
    fleet.add_server("filler", "node3", memory_mb=BIG_MB)
    first, second = (
        fleet.add_server("a", "node1", memory_mb=4000),
        fleet.add_server("b", "node1", memory_mb=4000),
    )
    fleet.add_server("half", "node2", memory_mb=4000)
    records = [fleet.submit("migrate", server).record for server in (first, second)]
    fleet.work()
    for record in records:
        record.refresh_from_db()
    assert [r.status for r in records] == [ActionStatus.SUCCEEDED, ActionStatus.FAILED]
    assert records[1].error_text.startswith("No valid host was found.")
    loser = fleet.state(second)
    assert (loser["vm_state"], loser["task_state"], loser["server_charged_on"]) == ("active", "", ["node1"])
    assert oversubscribed() == []


def test_claim_that_loses_the_race_is_followed_by_the_next_host(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    real = claims.claim
    monkeypatch.setattr(
        claims, "claim", lambda pk, host: fill_up(fleet, host) if host == "node2" else real(pk, host)
    )

    def fill_up(fleet: SmallFleet, host: str) -> None:
        row = Host.objects.get(name=host)
        other = fleet.add_server("quicker", "node3", memory_mb=1)
        Allocation.objects.filter(server=other).update(host=row, memory_mb=8192)
        real(server.pk, host)

    action = fleet.do("live-migration", server, host=None, block_migration="auto")
    assert action.status == ActionStatus.SUCCEEDED
    assert fleet.state(server)["host"] == "node3"
    choice = action.events.get(name="conductor_live_migrate_instance")
    assert "node2" in choice.facts["lost_race"]


def test_revert_always_has_room_however_full_the_source_became(fleet: SmallFleet) -> None:
    server = fleet.add_server(memory_mb=BIG_MB)
    fleet.do("migrate", server)
    neighbour = fleet.add_server("neighbour", "node3", memory_mb=BIG_MB)
    moved = fleet.do("migrate", neighbour)
    assert moved.status == ActionStatus.FAILED  # node1 keeps the room for the revert, node2 has the server
    fleet.do("revert-resize", server)
    assert fleet.state(server)["host"] == "node1" and oversubscribed() == []
