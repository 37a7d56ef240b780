"""disk: prefer the host with the most disk left."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class DiskWeigher(Weigher):
    """Free disk in MiB."""

    name = "disk"
    nova_name = "DiskWeigher"
    lowest = 0.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.unused.disk_gb * 1024
