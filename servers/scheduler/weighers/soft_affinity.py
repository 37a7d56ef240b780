"""soft_affinity: prefer the host with the most of the server's group."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class SoftAffinityWeigher(Weigher):
    """Others of the server's group on the host."""

    name = "soft_affinity"
    nova_name = "ServerGroupSoftAffinityWeigher"
    policy = "soft-affinity"

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        group = request.group
        return len(group.members_on(host.name)) if group and group.policy == self.policy else 0
