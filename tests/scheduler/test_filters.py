"""The filters: what each lets pass, and what it says otherwise (Nova contract C.3)."""

from __future__ import annotations

from typing import Any

import pytest

from servers.errors import NoValidHost
from servers.scheduler import FILTERS as REGISTRY
from servers.scheduler import explain
from servers.scheduler.filters import Filter
from servers.scheduler.filters.image_properties import version_satisfies
from tests.scheduler.fleet import FILTERS, a_group, a_host, a_move, choose, three_hosts, verdict_on

SUPPORTED = (("x86_64", "kvm", "hvm"), ("i686", "qemu", "hvm"))


def refusal(name: str, host: dict[str, Any], move: dict[str, Any]) -> str | None:
    return REGISTRY[name].refuses(a_host("host2", **host), a_move(**move))


def test_the_registry_knows_every_filter_that_the_settings_may_name() -> None:
    optional = {"aggregate_extra_specs", "num_instances", "io_ops", "availability_zone"}
    assert set(REGISTRY) == {*FILTERS, *optional}


def test_a_name_that_is_taken_is_refused_with_its_holder() -> None:
    class Second(Filter):
        name = "driver"

        def refuses(self, host: Any, request: Any) -> str | None:
            return None

    with pytest.raises(ValueError, match="'driver' is taken by DriverFilter"):
        REGISTRY.add(Second)


def test_a_filter_that_does_not_exist_is_named_among_those_that_do() -> None:
    with pytest.raises(ValueError, match="there is no filter 'retry'; there are: affinity, "):
        choose(a_move(), three_hosts(), filters=["retry"])


def test_a_server_does_not_move_to_another_driver() -> None:
    reason = "driver is libvirt, the server runs under simulated: no move between drivers"
    assert refusal("driver", {"driver": "libvirt"}, {}) == reason


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, None),
        ({"enabled": False}, "disabled"),
        ({"enabled": False, "disabled_reason": "fan"}, "disabled: fan"),
        ({"up": False}, "down: no heartbeat lately"),
        ({"up": False, "forced_down": True}, "forced down"),
        ({"maintenance": True}, "in maintenance"),
    ],
)
def test_a_host_out_of_service_is_refused(facts: dict[str, Any], reason: str | None) -> None:
    assert refusal("compute", facts, {}) == reason


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ({"hypervisor_type": "QEMU"}, None),
        ({"num_instances": "<= 3"}, None),
        ({"color": "red"}, None),
        ({"hw:cpu_policy": "dedicated"}, None),
        ({"capabilities:cpu_info:features": "<in> avx2"}, None),
        ({"gpu": "s== a100"}, None),
        ({"vcpus_total": ">= 32"}, "flavor wants vcpus_total '>= 32', the host has '16'"),
        ({"gpu": "h100"}, "flavor wants gpu 'h100', the host has 'a100'"),
        (
            {"capabilities:cpu_info:model": "Milan"},
            "flavor wants capabilities:cpu_info:model 'Milan', the host says nothing of it",
        ),
        ({"capabilities:color": "red"}, "flavor wants capabilities:color 'red', the host says nothing of it"),
    ],
)
def test_extra_specs_are_compared_with_what_the_host_has(specs: dict[str, str], reason: str | None) -> None:
    has = {"gpu": "a100", "cpu_info": {"features": ["aes", "avx2"]}}
    assert refusal("capabilities", {"capabilities": has}, {"extra_specs": specs}) == reason


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"os_distro": "debian"},
        {"hw_architecture": "x86_64"},
        {"architecture": "amd64", "vm_mode": "hv"},
        {"hw_architecture": "i386", "img_hv_type": "QEMU"},
        {"hw_architecture": "x86_64", "img_hv_requested_version": ">=6.0, <9"},
    ],
)
def test_an_image_that_the_host_supports_is_accepted(properties: dict[str, str]) -> None:
    assert refusal("image_properties", {"supported": SUPPORTED}, {"image_properties": properties}) is None


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        (
            {"hw_architecture": "aarch64"},
            "image wants hw_architecture aarch64, the host supports x86_64/kvm/hvm; i686/qemu/hvm",
        ),
        (
            {"hw_architecture": "x86_64", "img_hv_type": "qemu"},
            "image wants hw_architecture x86_64, img_hv_type qemu, the host supports x86_64/kvm/hvm; i686/qemu/hvm",
        ),
        (
            {"hw_vm_mode": "hvm", "img_hv_requested_version": ">=7"},
            "image wants hypervisor version >=7, the host has 6002000",
        ),
    ],
)
def test_an_image_that_the_host_does_not_support_is_refused(properties: dict[str, str], reason: str) -> None:
    assert refusal("image_properties", {"supported": SUPPORTED}, {"image_properties": properties}) == reason


def test_a_host_that_says_nothing_of_what_it_supports_is_refused() -> None:
    reason = refusal("image_properties", {}, {"image_properties": {"hw_vm_mode": "hvm"}})
    assert reason == "image wants hw_vm_mode hvm, the host does not say what it supports"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (">=6.2", True),
        ("==6.2.0", True),
        ("!=6.2.0", False),
        ("<6.2", False),
        (">6.1,<=6.2", True),
        ("six", False),
    ],
)
def test_a_version_obeys_every_condition(wanted: str, expected: bool) -> None:
    assert version_satisfies(6_002_000, wanted) is expected


def test_anti_affinity_refuses_a_host_with_as_many_members_as_may_be() -> None:
    reason = "anti-affinity group web may have 1 on host2, and has room there for web-host2"
    assert refusal("anti_affinity", {}, {"group": a_group("anti-affinity", {"host2": 1})}) == reason


def test_anti_affinity_accepts_members_below_the_most() -> None:
    group = a_group("anti-affinity", {"host2": 1}, most=2)
    assert refusal("anti_affinity", {}, {"group": group}) is None


def test_anti_affinity_accepts_the_host_where_the_server_is_already() -> None:
    group = a_group("anti-affinity", {"host2": 3})
    assert refusal("anti_affinity", {}, {"group": group, "source": "host2"}) is None


@pytest.mark.parametrize("moving", [("host2", "host3"), ("host3", "host2")])
def test_anti_affinity_counts_a_member_on_both_hosts_of_its_move(moving: tuple[str, str]) -> None:
    group = a_group("anti-affinity", {}, moving=moving)
    assert refusal("anti_affinity", {}, {"group": group}) is not None
    assert (
        refusal("anti_affinity", {}, {"group": a_group("anti-affinity", {"host2": 1}, 2, moving)}) is not None
    )
    assert refusal("anti_affinity", {}, {"group": a_group("anti-affinity", {}, 2, moving)}) is None


def test_affinity_accepts_the_hosts_of_the_group_alone() -> None:
    group = a_group("affinity", {"host2": 1, "host3": 0})
    assert refusal("affinity", {}, {"group": group}) is None
    assert (
        REGISTRY["affinity"].refuses(a_host("host3"), a_move(group=group)) == "affinity group web is on host2"
    )


def test_nobody_joins_an_affinity_group_that_is_on_the_move() -> None:
    reason = "affinity group web is on the move: traveller"
    assert refusal("affinity", {}, {"group": a_group("affinity", {}, moving=("host1", "host2"))}) == reason


def test_a_settled_member_of_an_affinity_group_shows_where_it_is_and_a_moving_one_does_not() -> None:
    group = a_group("affinity", {"host2": 1}, moving=("host1", "host3"))
    assert refusal("affinity", {}, {"group": group}) is None
    elsewhere = a_group("affinity", {"host1": 1}, moving=("host1", "host2"))
    assert refusal("affinity", {}, {"group": elsewhere}) == "affinity group web is on host1"


def test_a_hard_affinity_server_that_is_alone_in_its_group_may_move() -> None:
    assert choose(a_move(group=a_group("affinity", {})), three_hosts()).hosts == ("host2", "host3")


def test_a_hard_affinity_server_with_others_at_its_source_stays() -> None:
    with pytest.raises(NoValidHost, match="There are not enough hosts available"):
        choose(a_move(group=a_group("affinity", {"host1": 1})), three_hosts())


@pytest.mark.parametrize("name", ["affinity", "anti_affinity"])
@pytest.mark.parametrize("policy", ["soft-affinity", "soft-anti-affinity"])
def test_soft_policies_refuse_no_host(name: str, policy: str) -> None:
    assert refusal(name, {}, {"group": a_group(policy, {"host2": 1, "host3": 1})}) is None


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ({"ssd": "true"}, None),
        ({"aggregate_instance_extra_specs:ssd": "true"}, None),
        ({"tier": "gold"}, None),
        ({"hw:cpu_policy": "dedicated"}, None),
        ({"capabilities:ssd": "false"}, None),
        ({"ssd": "false"}, "flavor wants ssd 'false', the host's aggregates have true"),
        ({"gpu": "true"}, "flavor wants gpu 'true', no aggregate of the host has it"),
    ],
)
def test_aggregates_have_what_extra_specs_ask_for(specs: dict[str, str], reason: str | None) -> None:
    aggregates = ({"ssd": "true"}, {"tier": "gold, silver"})
    assert refusal("aggregate_extra_specs", {"aggregates": aggregates}, {"extra_specs": specs}) == reason


@pytest.mark.parametrize(
    ("name", "facts", "reason"),
    [
        ("num_instances", {"num_instances": 49}, None),
        ("num_instances", {"num_instances": 50}, "50 servers, and it has to be fewer than 50"),
        ("io_ops", {"io_ops": 7}, None),
        ("io_ops", {"io_ops": 8}, "8 servers busy with its disks, and it has to be fewer than 8"),
    ],
)
def test_a_busy_host_is_refused_from_the_limit_on(
    name: str, facts: dict[str, int], reason: str | None
) -> None:
    assert refusal(name, facts, {}) == reason


def test_a_pinned_server_stays_in_its_zone() -> None:
    facts = {"availability_zone": "east"}
    assert refusal("availability_zone", facts, {"availability_zone": "east"}) is None
    assert refusal("availability_zone", facts, {}) is None
    reason = "in availability zone east, the server is pinned to west"
    assert refusal("availability_zone", facts, {"availability_zone": "west"}) == reason


def test_filters_are_asked_in_the_configured_order() -> None:
    hosts = three_hosts(host2={"up": False, "driver": "libvirt"})
    for order, code in ((("driver", "compute"), "driver"), (("compute", "driver"), "compute")):
        assert verdict_on("host2", explain(a_move(), hosts, filters=order)).code == code


@pytest.mark.parametrize(
    ("policy", "lacking"),
    [("affinity", "ServerGroupAffinityFilter"), ("anti-affinity", "ServerGroupAntiAffinityFilter")],
)
def test_a_group_policy_without_its_filter_is_not_supported(policy: str, lacking: str) -> None:
    with pytest.raises(NoValidHost) as caught:
        choose(a_move(group=a_group(policy, {})), three_hosts(), filters=["driver", "compute"])
    assert str(caught.value) == f"ServerGroup policy is not supported: {lacking} not configured"
    assert {verdict.code for verdict in caught.value.facts["verdicts"]} == {"policy"}


def test_a_soft_group_policy_without_its_weigher_is_not_supported() -> None:
    with pytest.raises(NoValidHost, match="ServerGroupSoftAffinityWeigher not configured"):
        choose(a_move(group=a_group("soft-affinity", {})), three_hosts(), weighers={"ram": 1.0})
