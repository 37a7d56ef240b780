"""num_instances: prefer the host with the fewest, or most, servers; counts nothing by default."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class NumInstancesWeigher(Weigher):
    """Servers on the host."""

    name = "num_instances"
    nova_name = "NumInstancesWeigher"
    multiplier = 0.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.num_instances
