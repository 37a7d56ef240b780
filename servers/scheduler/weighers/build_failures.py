"""build_failures: put a host that has failed lately behind all others."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class BuildFailuresWeigher(Weigher):
    """Failures in a row; they outweigh everything else."""

    name = "build_failures"
    nova_name = "BuildFailureWeigher"
    multiplier = -1_000_000.0

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.build_failures
