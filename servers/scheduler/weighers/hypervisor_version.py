"""hypervisor_version: prefer the host with the newest hypervisor."""

from __future__ import annotations

from servers.scheduler.request import HostState, MoveRequest
from servers.scheduler.weighers.base import WEIGHERS, Weigher


@WEIGHERS.add
class HypervisorVersionWeigher(Weigher):
    """The hypervisor's version number."""

    name = "hypervisor_version"
    nova_name = "HypervisorVersionWeigher"

    def weigh(self, host: HostState, request: MoveRequest) -> float:
        return host.hypervisor_version
