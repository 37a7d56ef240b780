"""How a host looks as a hypervisor: what it is, how much of it is in use in Nova's words, and who is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from servers.api.compute.service_resource import SERVICE_IDS, STATE, STATUS, state, status
from servers.api.resources import (
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    UUID,
    Field,
    Resource,
    fixed,
    or_null,
)
from servers.engine.capacity.usage import Usage
from servers.models import Host, Server


@dataclass(frozen=True)
class Hypervisor:
    """A host, what is in use of it, and its servers where the answer is to have them."""

    host: Host
    usage: Usage = field(default_factory=Usage)
    servers: list[Server] | None = None

    @property
    def memory_mb_used(self) -> int:
        """Return the memory in use; what is reserved counts, as in Nova."""
        return self.usage.memory_mb + self.host.reserved_memory_mb * bool(self.host.memory_mb)

    @property
    def free_ram_mb(self) -> int:
        """Return the memory that is left; below zero where more is allocated than there is."""
        return self.host.memory_mb - self.memory_mb_used

    @property
    def free_disk_gb(self) -> int:
        """Return the disk space that is left; below zero where more is allocated than there is."""
        return self.host.disk_gb - self.usage.disk_gb

    @property
    def cpu_info(self) -> dict[str, str]:
        """Return what is known of the CPU."""
        return {"model": self.host.cpu_model} if self.host.cpu_model else {}


USAGE = {
    "vcpus": "host.vcpus",
    "memory_mb": "host.memory_mb",
    "local_gb": "host.disk_gb",
    "vcpus_used": "usage.vcpus",
    "memory_mb_used": "memory_mb_used",
    "local_gb_used": "usage.disk_gb",
    "free_ram_mb": "free_ram_mb",
    "free_disk_gb": "free_disk_gb",
    "disk_available_least": "free_disk_gb",
    "running_vms": "usage.servers",
    "current_workload": "usage.in_a_task",
}
"""Nova's words for what a hypervisor has and what is in use of it, each with the attribute of a `Hypervisor`."""


def total(attribute: str) -> Callable[[list[Hypervisor]], int]:
    """Return what reads the sum of an attribute over hypervisors."""
    read = attrgetter(attribute)
    return lambda hypervisors: sum(map(read, hypervisors))


SERVER_OF_HYPERVISOR = Resource(
    "HypervisorServer",
    (Field("name", TEXT, "instance_name"), Field("uuid", UUID, lambda server: str(server.uuid))),
)
SERVICE_OF_HYPERVISOR = Resource(
    "HypervisorService",
    (
        *SERVICE_IDS,
        Field("host", TEXT, "name"),
        Field("disabled_reason", TEXT_OR_NULL, or_null("disabled_reason")),
    ),
)
HYPERVISOR_BRIEF = Resource(
    "HypervisorBrief",
    (
        Field("id", NUMBER, "host.pk", until="2.52"),
        Field("id", UUID, lambda hypervisor: str(hypervisor.host.uuid), since="2.53"),
        Field("hypervisor_hostname", TEXT, "host.hypervisor_hostname"),
        Field("state", STATE, lambda hypervisor: state(hypervisor.host)),
        Field("status", STATUS, lambda hypervisor: status(hypervisor.host)),
        Field("servers", SERVER_OF_HYPERVISOR, "servers", when=lambda h: h.servers is not None, many=True),
    ),
)
HYPERVISOR = Resource(
    "Hypervisor",
    (
        *HYPERVISOR_BRIEF.fields,
        Field("host_ip", TEXT, "host.address"),
        Field("hypervisor_type", TEXT, "host.hypervisor_type"),
        Field("hypervisor_version", NUMBER, "host.hypervisor_version"),
        Field("service", SERVICE_OF_HYPERVISOR, "host"),
        Field("uptime", TEXT_OR_NULL, fixed(None), since="2.88"),
        *(Field(name, NUMBER, attribute, until="2.87") for name, attribute in USAGE.items()),
        Field("cpu_info", TEXT, lambda hypervisor: json.dumps(hypervisor.cpu_info), until="2.27"),
        Field("cpu_info", OBJECT, "cpu_info", since="2.28", until="2.87"),
    ),
)
HYPERVISOR_STATISTICS = Resource(
    "HypervisorStatistics",
    (
        Field("count", NUMBER, len),
        *(Field(name, NUMBER, total(attribute)) for name, attribute in USAGE.items()),
    ),
)
"""What several hypervisors have together."""
