"""Usage of hosts: what is allocated on them, and how many servers are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from servers.models import Allocation, Host, Server
from servers.states import TaskState

KEEPS_DISKS_BUSY = (
    TaskState.RESIZE_MIGRATING,
    TaskState.REBUILDING,
    TaskState.RESIZE_PREP,
    TaskState.IMAGE_SNAPSHOT,
    TaskState.IMAGE_BACKUP,
    TaskState.RESCUING,
    TaskState.UNSHELVING,
    TaskState.SHELVING,
)
"""Task states that count as I/O-heavy in Nova's io_ops filter (nova/scheduler/host_manager.py)."""


@dataclass
class Usage:
    """What is allocated on one host (vCPUs, MiB, GiB), and how many servers are there."""

    vcpus: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    servers: int = 0
    in_a_task: int = 0
    """Servers with any task state."""
    keep_disks_busy: int = 0
    """Servers with a task state that reads or writes whole disks."""

    @property
    def resources(self) -> tuple[int, int, int]:
        """Return the allocated vCPUs, MiB and GiB."""
        return (self.vcpus, self.memory_mb, self.disk_gb)


def allocations_by_host(hosts: Iterable[Host]) -> dict[int, tuple[int, int, int]]:
    """Return the allocated vCPUs, MiB and GiB of each host, by its primary key, in one query."""
    found = {host.pk: (0, 0, 0) for host in hosts}
    rows = Allocation.objects.filter(host__in=found).values("host").order_by()
    sums = rows.annotate(vcpus=Sum("vcpus"), memory=Sum("memory_mb"), disk=Sum("disk_gb"))
    return found | {row["host"]: (row["vcpus"], row["memory"], row["disk"]) for row in sums}


def usage_by_host(hosts: Iterable[Host]) -> dict[int, Usage]:
    """Return the usage of each host, by its primary key, in two queries. Deleted servers do not count."""
    found = {pk: Usage(*resources) for pk, resources in allocations_by_host(hosts).items()}
    counts = Server.objects.filter(host__in=found, deleted_at=None).values("host").order_by()
    for count in counts.annotate(
        servers=Count("pk"),
        in_a_task=Count("pk", filter=~Q(task_state="")),
        busy=Count("pk", filter=Q(task_state__in=KEEPS_DISKS_BUSY)),
    ):
        usage = found[count["host"]]
        usage.servers, usage.in_a_task, usage.keep_disks_busy = (
            count["servers"],
            count["in_a_task"],
            count["busy"],
        )
    return found


def allocated(host: Host) -> tuple[int, int, int]:
    """Return the vCPUs, MiB and GiB that are allocated on `host`, in one query."""
    return allocations_by_host([host])[host.pk]
