"""anti_affinity: the members of a group stay apart."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


@FILTERS.add
class AntiAffinityFilter(Filter):
    """The server is there itself, or fewer others of its group are than the group allows on one host."""

    name = "anti_affinity"
    nova_name = "ServerGroupAntiAffinityFilter"
    policy = "anti-affinity"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        group = request.group
        if group is None or group.policy != self.policy or host.name == request.source:
            return None
        members, most = group.members_on(host.name), group.max_server_per_host
        if members < most:
            return None
        return f"{members} of its anti-affinity group on this host, at most {most} may be"
