"""What the scheduler is asked, what it knows of each host, and what it answers: plain facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Resources:
    """vCPUs, MiB of memory and GiB of disk."""

    vcpus: int
    memory_mb: int
    disk_gb: int

    def each(self) -> tuple[tuple[str, int], ...]:
        """Return each amount with its unit."""
        return (("vCPU", self.vcpus), ("MiB of memory", self.memory_mb), ("GiB of disk", self.disk_gb))


@dataclass(frozen=True)
class GroupFacts:
    """A server group as its other members stand on the hosts; the moving server itself is left out."""

    uuid: str
    policy: str
    max_server_per_host: int = 1
    hosts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HostState:
    """A host as it is at this moment. `ratios` are for vCPU, memory and disk."""

    name: str
    hypervisor_hostname: str = ""
    driver: str = "simulated"
    hypervisor_type: str = "QEMU"
    hypervisor_version: int = 0
    enabled: bool = True
    disabled_reason: str = ""
    up: bool = True
    maintenance: bool = False
    availability_zone: str = "nova"
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    aggregates: tuple[Mapping[str, str], ...] = ()
    total: Resources = Resources(0, 0, 0)
    reserved: Resources = Resources(0, 0, 0)
    ratios: tuple[float, float, float] = (1.0, 1.0, 1.0)
    used: Resources = Resources(0, 0, 0)
    num_instances: int = 0
    io_ops: int = 0
    build_failures: int = 0

    @property
    def room(self) -> Resources:
        """Return what may be allocated in all: (total - reserved) × ratio."""
        cpu, memory, disk = self.ratios
        return Resources(
            int((self.total.vcpus - self.reserved.vcpus) * cpu),
            int((self.total.memory_mb - self.reserved.memory_mb) * memory),
            int((self.total.disk_gb - self.reserved.disk_gb) * disk),
        )

    @property
    def free(self) -> Resources:
        """Return what may still be allocated; negative on a host that is overcommitted."""
        room, used = self.room, self.used
        return Resources(
            room.vcpus - used.vcpus, room.memory_mb - used.memory_mb, room.disk_gb - used.disk_gb
        )


@dataclass(frozen=True)
class MoveRequest:
    """A move for which a host is wanted. It belongs to one attempt, and is never kept with the server."""

    server_uuid: str
    resources: Resources
    source: str | None = None
    driver: str = "simulated"
    hypervisor_type: str = "QEMU"
    hypervisor_version: int = 0
    requested_host: str | None = None
    ignore_hosts: frozenset[str] = frozenset()
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    image_properties: Mapping[str, Any] = field(default_factory=dict)
    availability_zone: str | None = None
    group: GroupFacts | None = None

    def ignores(self, host: str) -> bool:
        """Return whether `host` is not wanted, whatever the case of its letters (nova/scheduler)."""
        return host.lower() in {name.lower() for name in self.ignore_hosts}


@dataclass(frozen=True)
class Verdict:
    """What the scheduler thinks of a host; an accepted one has a weight, a refused one a reason."""

    host: str
    accepted: bool
    reason: str = ""
    filter: str = ""
    weight: float | None = None


@dataclass(frozen=True)
class Decision:
    """The chosen hosts, best first, and the verdict on every host."""

    hosts: tuple[str, ...]
    verdicts: tuple[Verdict, ...]


class Filter(Protocol):
    """Refuses hosts."""

    @property
    def name(self) -> str:
        """Return the name under which SCHEDULER_FILTERS knows it."""
        ...

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        """Return why `host` cannot take the server, or None."""
        ...


class Weigher(Protocol):
    """Prefers hosts."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def multiplier(self) -> float:
        """Return how much it counts; negative turns it round."""
        ...

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        """Return how well `host` suits, in any unit: only differences between hosts count."""
        ...
