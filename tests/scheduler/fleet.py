"""A small fleet and a move, for the tests to vary."""

from __future__ import annotations

from typing import Any

from servers.scheduler import (
    Decision,
    GroupFacts,
    HostState,
    Member,
    MoveRequest,
    Resources,
    Verdict,
    select_hosts,
)

FILTERS = ("driver", "compute", "capabilities", "image_properties", "anti_affinity", "affinity")
SERVER = "0f0f0f0f-0000-4000-8000-000000000001"


def a_host(name: str, **facts: Any) -> HostState:
    usual: dict[str, Any] = {
        "total": Resources(16, 8192, 100),
        "ratios": (4.0, 1.0, 1.0),
        "driver": "simulated",
        "hypervisor_type": "QEMU",
        "hypervisor_version": 6_002_000,
    }
    return HostState(name=name, **{**usual, **facts})


def a_move(**facts: Any) -> MoveRequest:
    usual: dict[str, Any] = {
        "server_uuid": SERVER,
        "resources": Resources(1, 512, 1),
        "source": "host1",
        "driver": "simulated",
        "hypervisor_type": "QEMU",
        "hypervisor_version": 6_002_000,
        "ignore_hosts": frozenset({"host1"}),
    }
    return MoveRequest(**{**usual, **facts})


def three_hosts(**facts: dict[str, Any]) -> list[HostState]:
    return [a_host(name, **facts.get(name, {})) for name in ("host1", "host2", "host3")]


def a_group(policy: str, hosts: dict[str, int], most: int = 1, moving: tuple[str, ...] = ()) -> GroupFacts:
    """Return a group with so many other members on each host, and one that holds room on every host of `moving`."""
    settled = [
        Member(f"web-{host}", frozenset({host})) for host, count in hosts.items() for _ in range(count)
    ]
    on_its_way = [Member("traveller", frozenset(moving))] if moving else []
    return GroupFacts("web", policy, most, (*settled, *on_its_way))


def choose(request: MoveRequest, hosts: list[HostState], **options: Any) -> Decision:
    return select_hosts(request, hosts, **{"filters": FILTERS, "count": 0, **options})


def verdict_on(name: str, verdicts: Any) -> Verdict:
    return next(verdict for verdict in verdicts if verdict.host == name)
