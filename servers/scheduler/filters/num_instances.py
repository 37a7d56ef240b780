"""num_instances: no host has more servers than can be looked after. Not enabled by default."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest

LIMIT = 50  # [filter_scheduler]max_instances_per_host


@FILTERS.add
class NumInstancesFilter(Filter):
    """The host has fewer servers than the most it may have."""

    name = "num_instances"
    nova_name = "NumInstancesFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        return (
            f"{host.num_instances} servers, and it has to be fewer than {LIMIT}"
            if host.num_instances >= LIMIT
            else None
        )
