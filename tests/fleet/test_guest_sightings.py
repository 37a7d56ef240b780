"""os-resetState asks briefly where the guest is: kept as evidence, never a hindrance, unless the guest runs twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from servers import clock
from servers.errors import GuestSeenTwice
from servers.fleet import guest_sightings
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Host, Server
from tests.small_fleet import SmallFleet
from tests.unknown_guests import run_twice


def kept(record: ActionRecord) -> dict[str, Any]:
    """Return the evidence that is kept with an action."""
    found: dict[str, Any] = ActionRecord.objects.get(pk=record.pk).result["evidence"]
    return found


@pytest.fixture
def real_time(fleet: SmallFleet) -> Iterator[None]:
    with clock.use(clock.Clock()):
        yield


def test_what_the_hypervisor_says_now_is_kept_with_the_reset(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    record = fleet.submit("reset-state", server, state="error").record
    assert kept(record)["hosts"] == {"node1": "running"}
    assert kept(record)["asked_at"] == clock.now().isoformat()
    server.refresh_from_db()
    assert server.vm_state == "error"


def test_both_hosts_of_a_move_are_asked(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.do("migrate", server)
    record = fleet.submit("reset-state", server, state="active").record
    assert kept(record)["hosts"] == {"node1": "shutdown", "node2": "running"}


def test_what_the_last_reconcile_found_is_kept_with_the_reset(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.remove_guest("node1", server.pk)
    reconcile()
    record = fleet.submit("reset-state", server, state="error").record
    assert kept(record)["hosts"] == {"node1": "not defined"}
    (found,) = kept(record)["last_reconcile"]
    assert found["what"] == "is recorded on node1, and seen on no host"


def test_host_that_is_lost_is_evidence_too(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.lose_host("node1")
    record = fleet.submit("reset-state", server, state="active").record
    assert kept(record)["hosts"] == {"node1": "silent: Connection to the hypervisor is broken on host"}


@pytest.mark.parametrize("error", ["ValueError", "DriverFault"])
def test_whatever_a_driver_raises_does_not_fail_the_reset(fleet: SmallFleet, error: str) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault("find_guest", "node1", error=error, args={"message": "odd"})
    record = fleet.submit("reset-state", server, state="active").record
    assert kept(record)["hosts"] == {"node1": "silent: odd"}


def test_host_that_hangs_costs_the_limit_once_and_then_nothing(fleet: SmallFleet, real_time: None) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault("find_guest", "node1", mode="hang", hang_limit_s=3)
    took = []
    for _ in range(2):
        began = time.monotonic()
        found = guest_sightings.collect_sightings(Server.objects.get(pk=server.pk), 0.3)
        took.append(time.monotonic() - began)
        assert guest_sightings.in_words(found.seen["node1"]) == "silent: no answer in 0.3 s"
    assert 0.3 <= took[0] < 1.5 and took[1] < 0.25


def test_reset_asks_for_two_seconds_at_most() -> None:
    assert guest_sightings.LIMIT_S == 2.0


def test_guest_that_runs_twice_is_refused_with_both_names_and_nothing_changes(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    reconcile()
    before = fleet.state(server)
    with pytest.raises(GuestSeenTwice, match="node1 and node2"):
        fleet.submit("reset-state", server, state="error")
    assert fleet.state(server) == before


def test_guest_that_was_seen_twice_is_refused_while_one_of_the_hosts_is_silent(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    reconcile()
    fleet.simulation.lose_host("node2")
    with pytest.raises(GuestSeenTwice, match="node1 and node2"):
        fleet.submit("reset-state", server, state="error")


def test_host_that_was_forced_down_no_longer_counts(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    reconcile()
    fleet.simulation.lose_host("node2")
    Host.objects.filter(name="node2").update(forced_down=True)
    fleet.submit("reset-state", server, state="active")


def test_reset_is_accepted_once_the_second_guest_is_stopped(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    run_twice(fleet, server, "node2")
    reconcile()
    fleet.simulation.remove_guest("node2", server.pk)
    assert kept(fleet.submit("reset-state", server, state="active").record)["hosts"] == {
        "node1": "running",
        "node2": "not defined",
    }


def test_other_actions_ask_nobody(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    assert fleet.submit("lock", server).record.result == {}
