"""How much of the hosts is in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from servers.models import Allocation, Host, Server


@dataclass
class Used:
    """What of a host is promised, and what goes on there."""

    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    servers: int = 0
    busy: int = 0

    def statistics(self, host: Host) -> dict[str, int]:
        """Return Nova's capacity fields; reserved memory counts as used, as in Nova."""
        memory_used = self.memory_mb + host.reserved_memory_mb * bool(host.memory_mb)
        free_disk = host.disk_gb - self.disk_gb
        return {
            "vcpus": host.vcpus,
            "memory_mb": host.memory_mb,
            "local_gb": host.disk_gb,
            "vcpus_used": self.vcpus,
            "memory_mb_used": memory_used,
            "local_gb_used": self.disk_gb,
            "free_ram_mb": host.memory_mb - memory_used,
            "free_disk_gb": free_disk,
            "disk_available_least": free_disk,
            "running_vms": self.servers,
            "current_workload": self.busy,
        }


def used_by(hosts: Iterable[Host]) -> dict[int, Used]:
    """Return by host what is in use, in two queries however many hosts there are."""
    found = {host.pk: Used() for host in hosts}
    sums = Allocation.objects.filter(host__in=found).values("host")
    for row in sums.annotate(vcpus=Sum("vcpus"), memory=Sum("memory_mb"), disk=Sum("disk_gb")):
        used = found[row["host"]]
        used.vcpus, used.memory_mb, used.disk_gb = row["vcpus"], row["memory"], row["disk"]
    counts = Server.objects.filter(host__in=found, deleted_at=None).values("host").order_by()
    for count in counts.annotate(servers=Count("pk"), busy=Count("pk", filter=~Q(task_state=""))):
        used = found[count["host"]]
        used.servers, used.busy = count["servers"], count["busy"]
    return found
