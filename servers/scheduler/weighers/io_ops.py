"""io_ops: prefer the host whose disks are least busy."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class IoOpsWeigher(Weigher):
    """Servers in a task that keeps the host's disks busy."""

    name = "io_ops"
    nova_name = "IoOpsWeigher"
    multiplier = -1.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.io_ops
