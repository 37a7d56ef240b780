"""ram: prefer the host with the most memory left."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class RamWeigher(Weigher):
    """Free memory in MiB."""

    name = "ram"
    nova_name = "RAMWeigher"
    lowest = 0.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.unused.memory_mb
