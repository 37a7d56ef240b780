"""What the scheduler is told, and what it answers: plain facts, so that no model is needed to think about a move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from servers.capacity import allocatable

UNITS = {"vcpus": "vCPU", "memory_mb": "MiB of memory", "disk_gb": "GiB of disk"}
"""The resources that are counted, with the words for them."""


@dataclass(frozen=True)
class Resources:
    """An amount of each resource."""

    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0


@dataclass(frozen=True)
class Member:
    """Another server of a group, and every host on which it holds room.

    There are two while it moves, and until its move is confirmed: it may be on either of them in the end.
    """

    name: str
    hosts: frozenset[str]


@dataclass(frozen=True)
class GroupFacts:
    """A server group as its other members hold room on the hosts.

    The moving server is not counted, so one that is alone in its group may go anywhere (Nova contract F22).
    """

    name: str
    policy: str
    max_server_per_host: int = 1
    members: tuple[Member, ...] = ()

    def members_on(self, host: str) -> tuple[str, ...]:
        """Return the names of the other members that hold room on `host`."""
        return tuple(sorted(member.name for member in self.members if host in member.hosts))


@dataclass(frozen=True)
class HostState:
    """A host as it stands. `used` counts every allocation, those of migrations too (Nova contract C.7)."""

    name: str
    total: Resources
    hypervisor_hostname: str = ""
    driver: str = ""
    hypervisor_type: str = ""
    hypervisor_version: int = 0
    enabled: bool = True
    disabled_reason: str = ""
    up: bool = True
    maintenance: bool = False
    forced_down: bool = False
    availability_zone: str = "nova"
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    supported: tuple[tuple[str, str, str], ...] = ()
    """What it can run: (architecture, hypervisor type, vm mode)."""
    aggregates: tuple[Mapping[str, Any], ...] = ()
    """The metadata of each aggregate that the host is in."""
    reserved: Resources = Resources()
    ratios: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Allocation ratios of vCPUs, memory and disk."""
    used: Resources = Resources()
    num_instances: int = 0
    io_ops: int = 0
    """Servers in a task that keeps the disks busy."""
    build_failures: int = 0

    @property
    def capacity(self) -> Resources:
        """Return what may be allocated in all."""
        cpu, memory, disk = self.ratios
        return Resources(
            allocatable(self.total.vcpus, self.reserved.vcpus, cpu),
            allocatable(self.total.memory_mb, self.reserved.memory_mb, memory),
            allocatable(self.total.disk_gb, self.reserved.disk_gb, disk),
        )

    @property
    def unused(self) -> Resources:
        """Return what is left of the machine itself, no ratio applied; less than nothing where it is overcommitted."""
        return Resources(
            self.total.vcpus - self.reserved.vcpus - self.used.vcpus,
            self.total.memory_mb - self.reserved.memory_mb - self.used.memory_mb,
            self.total.disk_gb - self.reserved.disk_gb - self.used.disk_gb,
        )


@dataclass(frozen=True)
class MoveRequest:
    """One attempt to move a server; nothing of it is kept for the next one (Nova contract F19).

    requested_host=None leaves the choice to the scheduler; ignore_hosts are compared without regard to case;
    availability_zone is set only where the server may not leave it.
    """

    server_uuid: str
    resources: Resources
    source: str | None = None
    driver: str = ""
    hypervisor_type: str = ""
    hypervisor_version: int = 0
    requested_host: str | None = None
    ignore_hosts: frozenset[str] = frozenset()
    extra_specs: Mapping[str, Any] = field(default_factory=dict)
    image_properties: Mapping[str, Any] = field(default_factory=dict)
    availability_zone: str | None = None
    group: GroupFacts | None = None


@dataclass(frozen=True)
class Verdict:
    """What the scheduler thinks of one host. `code` names the stage or filter that decided; weight is of the accepted."""

    host: str
    accepted: bool
    reason: str
    code: str
    weight: float | None = None


@dataclass(frozen=True)
class Decision:
    """The hosts to try, best first, and a verdict for every host."""

    hosts: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
