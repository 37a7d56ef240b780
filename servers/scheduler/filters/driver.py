"""driver: a guest does not change from one driver to another."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


@FILTERS.add
class DriverFilter(Filter):
    """The host is driven as the server's present host is. One fleet may mix drivers."""

    name = "driver"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        if not request.driver or host.driver == request.driver:
            return None
        return f"driver is {host.driver}, the server runs under {request.driver}: no move between drivers"
