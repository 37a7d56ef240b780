"""How much of a host is in use, in Nova's words."""

from __future__ import annotations

from servers.engine.capacity.usage import Usage
from servers.models import Host


def statistics(host: Host, usage: Usage) -> dict[str, int]:
    """Return Nova's capacity fields; reserved memory counts as used, as in Nova."""
    memory_used = usage.memory_mb + host.reserved_memory_mb * bool(host.memory_mb)
    free_disk = host.disk_gb - usage.disk_gb
    return {
        "vcpus": host.vcpus,
        "memory_mb": host.memory_mb,
        "local_gb": host.disk_gb,
        "vcpus_used": usage.vcpus,
        "memory_mb_used": memory_used,
        "local_gb_used": usage.disk_gb,
        "free_ram_mb": host.memory_mb - memory_used,
        "free_disk_gb": free_disk,
        "disk_available_least": free_disk,
        "running_vms": usage.servers,
        "current_workload": usage.in_a_task,
    }
