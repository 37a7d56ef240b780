"""capabilities: the host has what the flavor's extra specs ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.operators import matches
from servers.scheduler.request import HostState, MoveRequest

SCOPE = "capabilities"


def facts(host: HostState) -> dict[str, Any]:
    """Return what extra specs can name: the host's capabilities and, by Nova's names, its attributes."""
    cpu_ratio, memory_ratio, disk_ratio = host.ratios
    return {
        **host.capabilities,
        "host": host.name,
        "nodename": host.hypervisor_hostname,
        "hypervisor_hostname": host.hypervisor_hostname,
        "hypervisor_type": host.hypervisor_type,
        "hypervisor_version": host.hypervisor_version,
        "vcpus_total": host.total.vcpus,
        "vcpus_used": host.used.vcpus,
        "total_usable_ram_mb": host.total.memory_mb,
        "free_ram_mb": host.unused.memory_mb,
        "total_usable_disk_gb": host.total.disk_gb,
        "free_disk_mb": host.unused.disk_gb * 1024,
        "cpu_allocation_ratio": cpu_ratio,
        "ram_allocation_ratio": memory_ratio,
        "disk_allocation_ratio": disk_ratio,
        "num_instances": host.num_instances,
        "num_io_ops": host.io_ops,
    }


def wanted_path(key: str, known: Mapping[str, Any]) -> list[str]:
    """Return where to look for what an extra spec names, nothing where the key is meant for somebody else."""
    first, *rest = key.split(":")
    if rest:
        return rest if first == SCOPE else []
    return [first] if first in known else []


def look_up(path: list[str], known: Mapping[str, Any]) -> Any:
    """Return the value at `path`, None where there is none."""
    value: Any = known
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@FILTERS.add
class CapabilitiesFilter(Filter):
    """Un-namespaced extra specs that name a fact of the host, and all `capabilities:` ones, match."""

    name = "capabilities"
    nova_name = "ComputeCapabilitiesFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        known = facts(host)
        for key, wanted in request.extra_specs.items():
            path = wanted_path(key, known)
            if not path:
                continue
            value = look_up(path, known)
            if value is None:
                return f"flavor wants {key} {str(wanted)!r}, the host says nothing of it"
            if not matches(value, str(wanted)):
                return f"flavor wants {key} {str(wanted)!r}, the host has {str(value)!r}"
        return None
