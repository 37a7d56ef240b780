"""affinity: the members of a group stay together."""

from __future__ import annotations

from servers.scheduler import groups
from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


@FILTERS.add
class AffinityFilter(Filter):
    """Others of the group are settled on the host, or the server is alone in it (Nova contract F22)."""

    name = "affinity"
    nova_name = "ServerGroupAffinityFilter"
    policy = "affinity"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        group = request.group
        if group is None or group.policy != self.policy:
            return None
        return groups.refuses(group, host.name)
