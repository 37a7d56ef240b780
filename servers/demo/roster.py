"""Which hosts and servers there are in the demo: facts alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from servers.states import PowerState, VmState

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass(frozen=True)
class DemoHost:
    """A host, and how fast it copies: 100 MiB/s, so that a guest of 1 GiB moves in about ten seconds."""

    name: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    address: str
    disabled_reason: str = ""
    zone: str = "nova"
    bandwidth_bytes_s: int = 100 * MIB
    mounts_storage: bool = True
    """Whether the disks of its guests lie on the storage that the racks share, or in a folder of its own."""


HOSTS = (
    DemoHost("edge-1", 4, 4_096, 80, "192.0.2.5", mounts_storage=False),
    DemoHost("rack1-a", 16, 24_576, 400, "192.0.2.11"),
    DemoHost("rack1-b", 24, 32_768, 600, "192.0.2.12"),
    DemoHost("rack2-a", 4, 8_192, 120, "192.0.2.21"),
    DemoHost("rack2-b", 32, 65_536, 800, "192.0.2.22", disabled_reason="waits for a new power supply"),
)

INSTANCES = "instances"
"""The pool that every host has: mounted from the racks' storage, or local. A move between the two copies the disks."""
LOCAL_POOL = "local"
SHARED_CAPACITY_GB = 2_000

Agent = Literal["none", "booting", "ready"]
NO_AGENT: Agent = "none"
AGENT: Agent = "ready"
BOOTING_AGENT: Agent = "booting"


@dataclass(frozen=True)
class DemoServer:
    """A server as it stands. Without a host there is no guest either."""

    name: str
    project: str
    host: str | None
    flavor: str = "small"
    vm_state: VmState = VmState.ACTIVE
    power: PowerState = PowerState.RUNNING
    pool: str = INSTANCES
    agent: Agent = AGENT
    image: str = "debian-13"
    launched: bool = True
    volume_backed: bool = False
    deleted: bool = False
    dirty_bytes_s: int = 8 * MIB
    group: str = ""
    locked_by: str = ""
    locked_reason: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()


SERVERS = (  # the newest first, as Nova lists them
    # The admin's own: free to be moved, saved and mended.
    DemoServer("web-1", "admin", "rack1-a", tags=("web",), description="Moves in about ten seconds."),
    DemoServer("web-2", "admin", "rack1-a", tags=("web",)),
    DemoServer("web-3", "admin", "rack1-b", tags=("web",)),
    DemoServer("web-4", "admin", "rack1-b", tags=("web",)),
    DemoServer(
        "worker-1",
        "admin",
        "rack1-a",
        "tiny",
        pool=LOCAL_POOL,
        description="Its disk is local and has to be copied too.",
    ),
    DemoServer(
        "worker-2",
        "admin",
        "rack1-b",
        "medium",
        description="Waits for somebody to confirm or revert its move.",
    ),
    DemoServer("worker-3", "admin", "rack1-a", vm_state=VmState.STOPPED, power=PowerState.SHUTDOWN),
    DemoServer("worker-4", "admin", "rack1-b", "tiny", vm_state=VmState.PAUSED, power=PowerState.PAUSED),
    DemoServer(
        "worker-5", "admin", "rack1-a", "tiny", vm_state=VmState.SUSPENDED, power=PowerState.SUSPENDED
    ),
    DemoServer(
        "busy-1",
        "admin",
        "rack1-b",
        dirty_bytes_s=20 * GIB,
        description="Writes to its memory faster than it can be copied: a move does not end by itself.",
    ),
    # The shop's: a group that stays apart, locks, backups.
    DemoServer(
        "db-1",
        "shop",
        "rack1-a",
        "medium",
        group="db",
        description="Stays apart from db-2: no other host will do.",
    ),
    DemoServer("db-2", "shop", "rack1-b", "medium", group="db"),
    DemoServer("cart-1", "shop", "rack1-a", "tiny", locked_by="owner", locked_reason="Christmas sale"),
    DemoServer("cart-2", "shop", "rack1-b", "tiny", locked_by="admin", locked_reason="under investigation"),
    DemoServer(
        "mail-1", "shop", "rack1-b", volume_backed=True, description="Boots from a volume: no backup."
    ),
    DemoServer(
        "appliance-1",
        "shop",
        "rack1-a",
        "tiny",
        agent=NO_AGENT,
        image="alpine-3.22",
        description="Has no guest agent.",
    ),
    DemoServer(
        "boot-1",
        "shop",
        "rack1-b",
        "tiny",
        agent=BOOTING_AGENT,
        description="Its guest agent has not come up yet.",
    ),
    DemoServer("rescue-1", "shop", "rack1-b", "tiny", vm_state=VmState.RESCUED),
    DemoServer("archive-1", "shop", None, vm_state=VmState.SHELVED_OFFLOADED, power=PowerState.NOSTATE),
    DemoServer("old-1", "shop", None, vm_state=VmState.DELETED, power=PowerState.NOSTATE, deleted=True),
    # Research: the full host, the disabled one, and what went wrong.
    DemoServer(
        "branch-1",
        "research",
        "edge-1",
        "medium",
        description="Far from the racks: to move it means to copy its disk.",
    ),
    DemoServer("sim-1", "research", "rack2-a", "large", description="Its host is full."),
    DemoServer("sim-2", "research", "rack2-a", "medium"),
    DemoServer("sim-3", "research", "rack2-a", "small", pool=LOCAL_POOL),
    DemoServer("sim-4", "research", "rack2-a", "tiny"),
    DemoServer("grid-1", "research", "rack2-b", description="Its host is disabled: move it away."),
    DemoServer("grid-2", "research", "rack2-b", "medium"),
    DemoServer("broken-1", "research", "rack1-b", "tiny", description="Its move went wrong."),
    DemoServer(
        "new-1", "research", None, "tiny", vm_state=VmState.BUILDING, power=PowerState.NOSTATE, launched=False
    ),
    DemoServer(
        "new-2",
        "research",
        "rack1-a",
        "tiny",
        vm_state=VmState.STOPPED,
        power=PowerState.SHUTDOWN,
        launched=False,
        description="Was never launched.",
    ),
)

STRANGER = "old-ldap"
"""A guest on rack1-b that no server stands for: *Discover* shows it."""

SHOWPIECES = ("web-1", "web-2", "web-3", "web-4")
"""Servers that are good to try a move on."""
