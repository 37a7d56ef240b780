"""compute: the host is in service and has been heard of lately."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest


def disabled(host: HostState) -> str:
    """Return the sentence for a disabled host, with the reason that was given for it."""
    return f"disabled: {host.disabled_reason}" if host.disabled_reason else "disabled"


@FILTERS.add
class ComputeFilter(Filter):
    """The host's service is enabled, its heartbeat is fresh, and nobody works on the machine."""

    name = "compute"
    nova_name = "ComputeFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        if not host.enabled:
            return disabled(host)
        if host.forced_down:
            return "forced down"
        if not host.up:
            return "down: no heartbeat lately"
        return "in maintenance" if host.maintenance else None
