"""What holds for every choice, whatever the fleet."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from servers.errors import NoValidHost
from servers.scheduler import Decision, HostState, MoveRequest, Resources, explain
from tests.scheduler.fleet import FILTERS, a_host, a_move, choose, three_hosts

AMOUNTS = st.builds(Resources, st.integers(0, 40), st.integers(0, 9000), st.integers(0, 200))
RATIOS = st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 4.0])] * 3)
FACTS = st.fixed_dictionaries(
    {
        "total": AMOUNTS,
        "reserved": AMOUNTS,
        "used": AMOUNTS,
        "ratios": RATIOS,
        "enabled": st.booleans(),
        "up": st.booleans(),
    }
)
FLEETS = st.lists(FACTS, max_size=6).map(
    lambda all_facts: [a_host(f"host{number}", **facts) for number, facts in enumerate(all_facts)]
)
MOVES = st.builds(
    a_move,
    resources=AMOUNTS,
    requested_host=st.sampled_from([None, None, "host0", "host2"]),
    ignore_hosts=st.frozensets(st.sampled_from(["host0", "host1", "HOST2"])),
)


def attempt(request: MoveRequest, hosts: list[HostState], **options: Any) -> Decision:
    try:
        return choose(request, hosts, **options)
    except NoValidHost as fault:
        return Decision((), fault.facts["verdicts"])


@given(MOVES, FLEETS)
def test_no_host_without_room_is_ever_chosen(request: MoveRequest, fleet: list[HostState]) -> None:
    by_name = {host.name: host for host in fleet}
    for name in attempt(request, fleet).hosts:
        host, need = by_name[name], request.resources
        for kind, ratio in zip(("vcpus", "memory_mb", "disk_gb"), host.ratios, strict=True):
            total, reserved, used, more = (
                getattr(amounts, kind) for amounts in (host.total, host.reserved, host.used, need)
            )
            assert more == 0 or used + more <= (total - reserved) * ratio


@given(MOVES, FLEETS)
def test_no_host_to_ignore_out_of_service_or_not_requested_is_ever_chosen(
    request: MoveRequest, fleet: list[HostState]
) -> None:
    chosen = set(attempt(request, fleet).hosts)
    assert not {name.lower() for name in chosen} & {name.lower() for name in request.ignore_hosts}
    assert all(host.up and host.enabled for host in fleet if host.name in chosen)
    assert request.requested_host is None or chosen <= {request.requested_host}


@given(MOVES, FLEETS)
def test_every_host_gets_one_verdict_with_a_reason(request: MoveRequest, fleet: list[HostState]) -> None:
    verdicts = attempt(request, fleet).verdicts
    assert sorted(verdict.host for verdict in verdicts) == sorted(host.name for host in fleet)
    assert all(verdict.reason and verdict.code for verdict in verdicts)
    assert all((verdict.weight is not None) == verdict.accepted for verdict in verdicts)


@given(MOVES, FLEETS, st.randoms())
def test_the_order_in_which_hosts_are_listed_does_not_matter(
    request: MoveRequest, fleet: list[HostState], chance: Any
) -> None:
    shuffled = list(fleet)
    chance.shuffle(shuffled)
    assert attempt(request, shuffled) == attempt(request, fleet)


@given(MOVES, FLEETS, st.integers(1, 5))
def test_a_larger_subset_changes_the_order_alone(
    request: MoveRequest, fleet: list[HostState], size: int
) -> None:
    chosen = attempt(request, fleet, subset_size=size).hosts
    assert sorted(chosen) == sorted(attempt(request, fleet).hosts)


@given(MOVES, FLEETS)
def test_an_opinion_is_the_verdicts_of_the_choice(request: MoveRequest, fleet: list[HostState]) -> None:
    assert tuple(explain(request, fleet, filters=FILTERS)) == attempt(request, fleet).verdicts


def test_one_host_is_returned_unless_more_are_asked_for() -> None:
    assert choose(a_move(), three_hosts(), count=1).hosts == ("host2",)
    assert choose(a_move(), three_hosts(), count=5).hosts == ("host2", "host3")


def test_hosts_beyond_the_count_keep_their_verdicts() -> None:
    verdicts = choose(a_move(), three_hosts(), count=1).verdicts
    assert [(verdict.host, verdict.accepted) for verdict in verdicts] == [
        ("host2", True),
        ("host3", True),
        ("host1", False),
    ]


def test_an_opinion_of_a_fleet_without_any_valid_host_raises_nothing() -> None:
    opinions = explain(a_move(resources=Resources(99, 1, 1)), three_hosts(), filters=FILTERS)
    assert [opinion.reason for opinion in opinions] == ["needs 99 vCPU, the machine has 16"] * 3
