"""Adoption in a fleet that does not stand still: what moves meanwhile, what is odd, and what is killed in mid-way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers import clock
from servers.clock import VirtualClock
from servers.drivers.base import Disk, FoundGuest, Guest, JobKind, Nic
from servers.fleet.polling import Answer
from servers.inventory.discovery import apply
from servers.inventory.discovery.apply import Owner, adopt
from servers.inventory.discovery.discover import BUSY, discover, make_plan
from servers.inventory.discovery.plan import ChangeKind, Plan
from servers.inventory.discovery.recorded import read_known
from servers.models import Allocation, Host, Server
from servers.states import PowerState
from tests.inventory.moments import ask_one_by_one
from tests.small_fleet import SmallFleet
from tests.unknown_guests import place, run_twice, stranger

DISCOVERY = "servers.inventory.discovery.discover"


class Killed(BaseException):
    """The end of a process in the middle of its work."""


@pytest.fixture
def known(fleet: SmallFleet) -> SmallFleet:
    """Return the fleet with hosts recorded as they describe themselves."""
    write(fleet)
    return fleet


def write(fleet: SmallFleet, plan: Plan | None = None) -> apply.Adopted:
    """Write a plan, a new one where none is given."""
    return adopt(plan or discover(), Owner(fleet.project.pk, "somebody"))


def told(plan: Plan) -> list[tuple[ChangeKind, str]]:
    return [(change.kind, change.obstacle) for change in plan.changes]


def carry(fleet: SmallFleet, server: Server, source: str, destination: str) -> Callable[[], None]:
    """Return what moves a guest by hand."""

    def move() -> None:
        fleet.simulation.remove_guest(source, server.pk)
        place(fleet, Guest(server.pk, server.instance_name, server.vcpus, server.memory_mb), destination)

    return move


# ------------------------------------------------------------------------------- what moves meanwhile


def test_guest_that_we_move_while_hosts_are_asked_is_not_on_two_hosts(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = known.add_server()
    known.heartbeat()

    def move() -> None:
        known.do("live-migration", server, host="node2", block_migration="auto")

    ask_one_by_one(monkeypatch, DISCOVERY, move)
    assert told(discover()) == [(ChangeKind.GUEST_MOVING, BUSY)]
    assert known.state(server)["host"] == "node2"
    assert discover().changes == ()


def test_guest_that_has_moved_while_hosts_were_asked_is_not_taken_back(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = known.add_server(host="node2")
    known.heartbeat()

    def move() -> None:
        known.do("live-migration", server, host="node1", block_migration="auto")

    ask_one_by_one(monkeypatch, DISCOVERY, move)
    plan = discover()
    assert told(plan) == [(ChangeKind.GUEST_GONE, BUSY)]
    assert write(known, plan).written == ()
    assert (known.state(server)["host"], known.state(server)["vm_state"]) == ("node1", "active")


@pytest.mark.parametrize(
    ("source", "destination", "kind"),
    [("node1", "node2", ChangeKind.GUEST_MOVING), ("node2", "node1", ChangeKind.GUEST_GONE)],
)
def test_guest_that_is_carried_off_by_hand_meanwhile_is_neither_on_two_hosts_nor_gone(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch, source: str, destination: str, kind: ChangeKind
) -> None:
    server = known.add_server(host=source)
    write(known)
    ask_one_by_one(monkeypatch, DISCOVERY, carry(known, server, source, destination))
    plan = discover()
    assert (kind, BUSY) in told(plan) and plan.to_write == []
    assert ChangeKind.GUEST_MOVED in [change.kind for change in discover().changes]


def test_stranger_that_is_carried_off_meanwhile_is_not_on_two_hosts(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = place(known, stranger(pool="shared"))

    def move() -> None:
        known.simulation.remove_guest("node1", guest.uuid)
        place(known, guest, "node2")

    ask_one_by_one(monkeypatch, DISCOVERY, move)
    assert told(discover()) == [(ChangeKind.GUEST_MOVING, BUSY)]
    assert told(discover()) == [(ChangeKind.GUEST_NEW, "")]


def test_guest_that_is_on_two_hosts_whenever_they_are_asked_is_for_a_person(known: SmallFleet) -> None:
    server = known.add_server()
    write(known)
    run_twice(known, server, "node2")
    ((kind, obstacle),) = told(discover())
    assert kind is ChangeKind.GUEST_TWICE and obstacle.startswith("seen on node1 and node2")


def test_guest_that_the_hypervisor_moves_without_an_action_of_ours_is_on_its_way(known: SmallFleet) -> None:
    guest = place(known, stranger(pool="shared"))
    place(known, guest, "node2", PowerState.SHUTDOWN)
    moving = seen_as(discover(), guest, job=JobKind.LIVE_MIGRATION)
    assert told(moving) == [(ChangeKind.GUEST_MOVING, BUSY)]


def seen_as(plan: Plan, guest: Guest, **facts: Any) -> Plan:
    """Return the plan as if its hosts had said this of one guest."""

    def told_of(found: FoundGuest) -> FoundGuest:
        return replace(found, **facts) if found.uuid == guest.uuid else found

    found = {
        host: Answer(replace(answer.value, guests=tuple(map(told_of, answer.value.guests))))
        for host, answer in plan.found.items()
        if answer.value
    }
    return make_plan(plan.hosts, found, read_known(), frozenset())


# ---------------------------------------------------------------------------------------- what is odd

ODD: dict[str, dict[str, Any]] = {
    "no name": {"name": None},
    "less than no processor": {"vcpus": -1},
    "more memory than there are numbers": {"memory_mb": 2**70},
    "half a letter": {"name": "\ud800"},
    "disks that are none": {"disks": (None,)},
    "no disks at all": {"disks": None},
    "a power state that nobody knows": {"power_state": 99},
    "hardware addresses that are none": {"nics": (None,)},
}
"""What a host may say of a guest that cannot be kept."""


@pytest.mark.parametrize("facts", list(ODD))
def test_odd_guest_is_named_and_keeps_no_other_from_being_adopted(known: SmallFleet, facts: str) -> None:
    odd = place(known, stranger("odd"))
    place(known, stranger("even")), place(known, stranger("elsewhere"), "node2")
    plan = seen_as(discover(), odd, **ODD[facts])
    adopted = write(known, plan)
    assert sorted(c.name for c in adopted.written) == ["elsewhere", "even"]
    left = [*adopted.left, *(change for change in plan.changes if change.obstacle)]
    assert [change.uuid for change in left] == [odd.uuid] and left[0].obstacle
    assert not Server.objects.filter(pk=odd.uuid).exists()
    assert Allocation.objects.count() == 2


ANYTHING = st.none() | st.integers() | st.text() | st.tuples(st.none()) | st.floats()
A_DISK = st.builds(Disk, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
A_NIC = st.builds(Nic, ANYTHING, ANYTHING)


@pytest.mark.django_db
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    facts=st.fixed_dictionaries(
        {},
        optional={
            "name": ANYTHING,
            "vcpus": ANYTHING,
            "memory_mb": ANYTHING,
            "power_state": ANYTHING,
            "disks": ANYTHING | st.tuples(A_DISK) | st.tuples(A_DISK, A_DISK),
            "nics": ANYTHING | st.tuples(A_NIC),
        },
    )
)
def test_whatever_a_host_says_of_one_guest_the_others_are_adopted(facts: dict[str, Any]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        override_settings(SIMULATED_FLEET=Path(folder) / "fleet"),
        clock.use(VirtualClock()),
        transaction.atomic(),
    ):
        fleet = SmallFleet(hosts=1)
        odd, even = place(fleet, stranger("odd")), place(fleet, stranger("even"))
        adopted = write(fleet, seen_as(discover(), odd, **facts))
        assert even.uuid in {change.uuid for change in adopted.written}
        assert Server.objects.filter(pk=even.uuid).exists()
        transaction.set_rollback(True)


def test_odd_guest_of_a_server_leaves_its_record_as_it_is(known: SmallFleet) -> None:
    server = known.add_server()
    write(known)
    plan = seen_as(discover(), Guest(server.pk, "", 1, 1), memory_mb=-1)
    assert [change.uuid for change in write(known, plan).left] == [server.pk]
    assert known.state(server)["host"] == "node1"


# ------------------------------------------------------------------------------- killed in mid-way


def test_whoever_is_killed_in_mid_way_leaves_whole_batches_and_the_next_one_does_the_rest(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "GUESTS_AT_ONCE", 5)
    for number in range(17):
        place(known, stranger(f"g{number:02}"))
    write_new, calls = apply.write_new, []

    def die_at_the_eighth(*facts: Any) -> None:
        calls.append(facts)
        if len(calls) == 8:
            raise Killed
        write_new(*facts)

    monkeypatch.setattr(apply, "write_new", die_at_the_eighth)
    with pytest.raises(Killed):
        write(known)
    assert Server.objects.count() == Allocation.objects.count() == 5
    assert len(write(known).written) == 12
    assert Server.objects.count() == Allocation.objects.count() == 17
    assert discover().changes == ()


def test_whoever_is_killed_between_a_host_and_its_pools_leaves_the_pools_to_the_next_one(
    fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(host: Host, pools: object) -> list[str]:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(apply, "write_pools", die)
        with pytest.raises(Killed):
            write(fleet)
    Host.objects.get(name="node1").pools.clear()
    write(fleet)
    assert Host.objects.get(name="node1").pools.count() == 2
    assert discover().changes == ()
