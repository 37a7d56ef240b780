"""anti_affinity: the members of a group stay apart."""

from __future__ import annotations

from servers.scheduler import groups
from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


@FILTERS.add
class AntiAffinityFilter(Filter):
    """The server is there itself, or fewer others of its group have room there than the group allows."""

    name = "anti_affinity"
    nova_name = "ServerGroupAntiAffinityFilter"
    policy = "anti-affinity"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        group = request.group
        if group is None or group.policy != self.policy or host.name == request.source:
            return None
        return groups.refuses(group, host.name)
