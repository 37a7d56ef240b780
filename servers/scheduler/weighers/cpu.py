"""cpu: prefer the host with the most vCPUs left."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class CpuWeigher(Weigher):
    """Free vCPUs: total × ratio, less what is used or reserved."""

    name = "cpu"
    nova_name = "CPUWeigher"
    lowest = 0.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.total.vcpus * host.ratios[0] - host.used.vcpus - host.reserved.vcpus
