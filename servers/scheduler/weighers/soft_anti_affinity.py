"""soft_anti_affinity: prefer the host with the fewest of the server's group."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class SoftAntiAffinityWeigher(Weigher):
    """Others of the server's group on the host, counted downwards."""

    name = "soft_anti_affinity"
    nova_name = "ServerGroupSoftAntiAffinityWeigher"
    policy = "soft-anti-affinity"

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        group = request.group
        return -len(group.members_on(host.name)) if group and group.policy == self.policy else 0
