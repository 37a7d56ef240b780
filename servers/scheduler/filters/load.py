"""Hosts that have enough to do."""

from __future__ import annotations

from servers.scheduler.base import HostState, MoveRequest

MAX_INSTANCES = 50
MAX_IO_OPS = 8


class NumInstancesFilter:
    """Fewer than 50 servers on a host (NumInstancesFilter)."""

    name = "num_instances"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        if host.num_instances < MAX_INSTANCES:
            return None
        return f"{host.num_instances} servers are there, {MAX_INSTANCES} are the limit"


class IoOpsFilter:
    """Fewer than 8 servers in io-heavy tasks on a host (IoOpsFilter)."""

    name = "io_ops"

    def refuses(self, host: HostState, request: MoveRequest) -> str | None:
        if host.io_ops < MAX_IO_OPS:
            return None
        return f"{host.io_ops} servers are busy with their disks there, {MAX_IO_OPS} are the limit"
