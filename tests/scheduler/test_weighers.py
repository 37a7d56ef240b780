"""The weighers, and the order in which hosts are tried (Nova contract C.4)."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.scheduler import WEIGHERS, Resources
from servers.scheduler.registry import Registry
from servers.scheduler.weighers import default_multipliers, normalise, weigh_hosts
from tests.scheduler.fleet import a_group, a_host, a_move, choose, three_hosts, verdict_on

NUMBERS = st.lists(st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9), max_size=8)


def raw(name: str, host: dict[str, Any], move: dict[str, Any] | None = None) -> float:
    return WEIGHERS[name].weigh(a_host("host2", **host), a_move(**(move or {})))


def test_each_weigher_counts_as_much_as_novas() -> None:
    assert default_multipliers() == {
        "ram": 1,
        "cpu": 1,
        "disk": 1,
        "hypervisor_version": 1,
        "soft_affinity": 1,
        "soft_anti_affinity": 1,
        "io_ops": -1,
        "num_instances": 0,
        "build_failures": -1_000_000,
    }


def test_two_weighers_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="weigher 'ram' is taken by Weigher"):
        Registry("weigher", [WEIGHERS["ram"], WEIGHERS["ram"]])


@pytest.mark.parametrize(
    ("name", "host", "value"),
    [
        ("ram", {"used": Resources(0, 1000, 0), "reserved": Resources(0, 192, 0)}, 7000),
        ("cpu", {"used": Resources(4, 0, 0)}, 60),
        ("disk", {"used": Resources(0, 0, 40)}, 60 * 1024),
        ("hypervisor_version", {}, 6_002_000),
        ("io_ops", {"io_ops": 3}, 3),
        ("num_instances", {"num_instances": 3}, 3),
        ("build_failures", {"build_failures": 3}, 3),
    ],
)
def test_a_raw_value_is_in_novas_unit(name: str, host: dict[str, Any], value: float) -> None:
    assert raw(name, host) == value


@pytest.mark.parametrize(("policy", "value"), [("soft-affinity", 2), ("soft-anti-affinity", -2)])
def test_a_soft_policy_counts_the_others_of_the_group(policy: str, value: float) -> None:
    move = {"group": a_group(policy, {"host2": 2})}
    assert raw(policy.replace("-", "_"), {}, move) == value


def test_a_soft_policy_counts_a_member_on_both_hosts_of_its_move() -> None:
    move = {"group": a_group("soft-affinity", {"host2": 2}, moving=("host3", "host2"))}
    assert raw("soft_affinity", {}, move) == 3


@pytest.mark.parametrize("name", ["soft_affinity", "soft_anti_affinity"])
def test_a_soft_policy_counts_nothing_for_other_groups(name: str) -> None:
    assert raw(name, {}, {"group": a_group("affinity", {"host2": 2})}) == 0
    assert raw(name, {}) == 0


@given(NUMBERS)
def test_normalised_values_lie_between_0_and_1(values: list[float]) -> None:
    assert all(0 <= value <= 1 for value in normalise(values))


@given(NUMBERS, st.floats(-100, 100))
def test_a_lowest_value_keeps_them_between_0_and_1(values: list[float], lowest: float) -> None:
    assert all(0 <= value <= 1 for value in normalise(values, lowest))


@given(NUMBERS)
def test_normalising_keeps_the_order(values: list[float]) -> None:
    scaled = normalise(values)
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert all(scaled[a] <= scaled[b] for a, b in pairwise(order))


@given(NUMBERS.filter(lambda values: len(set(values)) > 1))
def test_the_least_is_0_and_the_most_is_1(values: list[float]) -> None:
    scaled = normalise(values)
    assert (min(scaled), max(scaled)) == (0, 1)


@given(st.floats(-1e9, 1e9), st.integers(0, 8), st.sampled_from([None, 0.0]))
def test_values_that_do_not_differ_count_nothing(value: float, times: int, lowest: float | None) -> None:
    assert normalise([value] * times, lowest) == [0] * times


def test_overcommitted_hosts_are_equally_bad() -> None:
    assert normalise([-5, -9], lowest=0.0) == [0, 0]


def test_a_slightly_fuller_host_is_only_slightly_worse() -> None:
    hosts = [a_host("host2"), a_host("host3", used=Resources(0, 4096, 0))]
    assert weigh_hosts(hosts, a_move(), {"ram": 2.0}) == [{"ram": 2.0}, {"ram": 1.0}]


def test_the_host_with_the_highest_sum_is_tried_first() -> None:
    hosts = three_hosts(host2={"used": Resources(0, 4096, 0)})
    assert choose(a_move(), hosts).hosts == ("host3", "host2")


def test_the_caller_may_turn_a_weigher_round() -> None:
    hosts = three_hosts(host2={"used": Resources(0, 4096, 0)})
    assert choose(a_move(), hosts, weighers={"ram": -1.0}).hosts == ("host2", "host3")


def test_equally_good_hosts_are_tried_in_the_order_of_their_names() -> None:
    assert choose(a_move(), three_hosts()[::-1]).hosts == ("host2", "host3")


def test_a_host_that_has_failed_comes_last_whatever_else_it_has() -> None:
    hosts = three_hosts(host2={"build_failures": 1}, host3={"used": Resources(60, 7000, 90), "io_ops": 7})
    assert choose(a_move(), hosts).hosts == ("host3", "host2")


@pytest.mark.parametrize(
    ("policy", "order"),
    [("soft-affinity", ("host3", "host2")), ("soft-anti-affinity", ("host2", "host3"))],
)
def test_soft_policies_prefer_hosts(policy: str, order: tuple[str, ...]) -> None:
    assert choose(a_move(group=a_group(policy, {"host3": 1})), three_hosts()).hosts == order


def test_the_first_host_is_drawn_from_the_best_of_the_subset() -> None:
    hosts = [a_host(f"host{n}", used=Resources(0, 512 * n, 0)) for n in range(2, 6)]
    drawn = {choose(a_move(), hosts, subset_size=2, chance=Random(seed)).hosts for seed in range(20)}
    assert drawn == {("host2", "host3", "host4", "host5"), ("host3", "host2", "host4", "host5")}


def test_the_weight_of_an_accepted_host_is_explained() -> None:
    hosts = three_hosts(host2={"used": Resources(0, 4096, 0), "io_ops": 2})
    verdict = verdict_on("host2", choose(a_move(), hosts).verdicts)
    assert (verdict.weight, verdict.reason) == (-0.5, "weighs -0.50: io_ops -1.00, ram 0.50")


def test_a_weigher_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no weigher 'pci'"):
        choose(a_move(), three_hosts(), weighers={"pci": 1.0})
