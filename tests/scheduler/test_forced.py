"""What is checked of a forced host (Nova contract B.7, F21)."""

from __future__ import annotations

from typing import Any

import pytest

from servers.errors import (
    ComputeServiceUnavailable,
    DestinationHypervisorTooOld,
    Fault,
    GroupPolicyViolated,
    InvalidHypervisorType,
    MigrationPreCheckError,
    UnableToMigrateToSelf,
)
from servers.scheduler import Resources, check_forced
from tests.scheduler.fleet import SERVER, a_group, a_host, a_move


def refusal(name: str = "host2", move: dict[str, Any] | None = None, **facts: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        check_forced(a_move(**(move or {})), a_host(name, **facts))
    return caught.value


@pytest.mark.parametrize(
    "facts", [{}, {"enabled": False}, {"maintenance": True}, {"hypervisor_version": 9_000_000}]
)
def test_a_disabled_host_can_be_forced(facts: dict[str, Any]) -> None:
    check_forced(a_move(), a_host("host2", **facts))


def test_the_promise_of_a_group_holds_for_a_forced_host_too() -> None:
    fault = refusal(move={"group": a_group("anti-affinity", {}, moving=("host2", "host3"))})
    assert isinstance(fault, GroupPolicyViolated)
    reason = "anti-affinity group web may have 1 on host2, and has room there for traveller"
    assert str(fault) == f"The server's group does not allow the host: {reason}"


@pytest.mark.parametrize("policy", ["soft-affinity", "soft-anti-affinity"])
def test_forcing_passes_by_a_soft_policy(policy: str) -> None:
    check_forced(a_move(group=a_group(policy, {"host2": 1, "host3": 1})), a_host("host2"))


def test_a_server_cannot_be_forced_to_where_it_is() -> None:
    fault = refusal("host1", up=False)
    assert isinstance(fault, UnableToMigrateToSelf)
    assert str(fault) == f"Unable to migrate instance ({SERVER}) to current host (host1)."


def test_a_host_that_is_down_cannot_be_forced() -> None:
    fault = refusal(up=False)
    assert isinstance(fault, ComputeServiceUnavailable)
    assert str(fault) == "Compute service of host2 is unavailable at this time."


def test_a_host_without_memory_cannot_be_forced() -> None:
    fault = refusal(used=Resources(0, 8000, 0))
    assert isinstance(fault, MigrationPreCheckError)
    lack = f"Unable to migrate {SERVER} to host2: Lack of memory(host:192.0 <= instance:512)"
    assert str(fault) == f"Migration pre-check error: {lack}"


def test_exactly_as_much_memory_as_the_server_has_is_not_enough() -> None:
    assert isinstance(refusal(used=Resources(0, 7680, 0)), MigrationPreCheckError)


def test_the_memory_ratio_counts_and_the_reserve_is_not_multiplied() -> None:
    facts = {"reserved": Resources(0, 1000, 0), "ratios": (1.0, 1.5, 1.0)}
    assert "host:88.0 <=" in str(refusal(used=Resources(0, 11200, 0), **facts))


def test_a_forced_host_of_another_driver_is_refused_with_that_reason() -> None:
    fault = refusal(driver="libvirt", hypervisor_type="KVM")
    assert isinstance(fault, MigrationPreCheckError)
    assert str(fault).endswith("driver is libvirt, the server runs under simulated: no move between drivers")


def test_a_forced_host_has_the_same_hypervisor_type() -> None:
    assert isinstance(refusal(hypervisor_type="xen"), InvalidHypervisorType)


def test_a_forced_host_has_no_older_hypervisor() -> None:
    assert isinstance(refusal(hypervisor_version=6_001_999), DestinationHypervisorTooOld)
