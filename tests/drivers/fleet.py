"""The simulated fleet as a lab, by a clock that costs no time."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from servers import clock
from servers.drivers.base import Disk, Fence, Guest, HostRef, MoveOptions, Nic, Pool, Route
from servers.drivers.simulated import Fleet, SimulatedDriver
from servers.states import PowerState
from tests.drivers.fences import Trusting

MIB = 1024**2
GIB = 1024**3

GUEST = Guest(
    uuid=UUID("11111111-2222-4333-8444-555555555555"),
    name="web",
    vcpus=1,
    memory_mb=512,
    disks=(Disk("vda", "/var/lib/libvirt/images/web.qcow2", "default", 10 * GIB, 64 * MIB),),
    nics=(
        Nic(
            "52:54:00:00:00:01",
            "blue",
            ("192.0.2.10/24",),
            "192.0.2.1",
            (Route("198.51.100.0/24", "192.0.2.2"),),
            ("192.0.2.53",),
        ),
    ),
)
DISKLESS = Guest(UUID("22222222-2222-4333-8444-555555555555"), "volume", 1, 512)


def pool(
    identity: str = "local", *, shared: bool = False, capacity_bytes: int = 100 * GIB, name: str = "default"
) -> Pool:
    return Pool(name, identity, shared, capacity_bytes, 0)


class SimulatedLab:
    """node1 and node2 with local disks at 100 MiB/s, and a guest of 512 MiB."""

    slow = MoveOptions(bandwidth_mib_s=100)
    guest = GUEST

    def __init__(self, path: Path) -> None:
        self.fleet = Fleet(path)
        self.source = self.fleet.add_host("node1")
        self.destination = self.fleet.add_host("node2")
        self.fleet.add_guest("node1", GUEST, agent=True, dirty_rate_bytes_s=20 * MIB)

    def driver(self, host: HostRef, fence: Fence | None = None) -> SimulatedDriver:
        return Fleet(self.fleet.path).driver(host, fence or Trusting())

    def heartbeat(self) -> int:
        return self.fleet.heartbeat(GUEST.uuid)

    def is_beating(self) -> bool:
        before = self.heartbeat()
        clock.sleep(2)
        return self.heartbeat() > before

    def disk_md5(self, host: HostRef, guest: UUID | None = None) -> str | None:
        return self.fleet.disk_md5(host.name, guest or GUEST.uuid)

    def make_busy(self) -> None:
        self.fleet.set_dirty_rate(GUEST.uuid, 500 * MIB)

    def wait(self, seconds: float) -> None:
        clock.sleep(seconds)

    def share_disks(self) -> None:
        """Let both hosts see the same storage, and the guest's disk lie there."""
        self.fleet.remove_guest("node1", GUEST.uuid)
        for name in ("node1", "node2"):
            self.fleet.add_host(name, pools=[pool("nfs:/export", shared=True)])
        self.fleet.add_guest("node1", GUEST, PowerState.RUNNING, agent=True)
