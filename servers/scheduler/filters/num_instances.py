"""num_instances: no host has more servers than can be looked after. Not enabled by default."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest

MOST = 50  # [filter_scheduler]max_instances_per_host


@FILTERS.add
class NumInstancesFilter(Filter):
    """The host has fewer servers than the most it may have."""

    name = "num_instances"
    nova_name = "NumInstancesFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        return f"{host.num_instances} servers, at most {MOST} may be" if host.num_instances >= MOST else None
