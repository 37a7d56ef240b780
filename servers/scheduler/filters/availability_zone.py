"""availability_zone: a server that is pinned to a zone stays in it. Not enabled by default."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


@FILTERS.add
class AvailabilityZoneFilter(Filter):
    """The host is in the zone that the request names, if it names one."""

    name = "availability_zone"
    nova_name = "AvailabilityZoneFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        zone = request.availability_zone
        if zone is None or host.availability_zone == zone:
            return None
        return f"in availability zone {host.availability_zone}, the server is pinned to {zone}"
