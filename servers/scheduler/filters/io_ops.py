"""io_ops: a host whose disks are busy already gets no more work. Not enabled by default."""

from __future__ import annotations

from servers.scheduler.filters.base import FILTERS, Filter
from servers.scheduler.request import HostState, MoveRequest

LIMIT = 8  # [filter_scheduler]max_io_ops_per_host


@FILTERS.add
class IoOpsFilter(Filter):
    """Fewer servers than the most allowed are in a task that keeps the host's disks busy."""

    name = "io_ops"
    nova_name = "IoOpsFilter"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        return (
            f"{host.io_ops} servers busy with its disks, and it has to be fewer than {LIMIT}"
            if host.io_ops >= LIMIT
            else None
        )
