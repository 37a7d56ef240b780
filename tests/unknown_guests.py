"""Guests that nobody has told the database of, as virsh or virt-install make them; and guests that run twice."""

from __future__ import annotations

from uuid import UUID, uuid4

from servers.drivers.base import Disk, Guest, Nic
from servers.drivers.simulated.store import transaction
from servers.models import Server
from servers.states import PowerState
from tests.small_fleet import GIB, SmallFleet


def stranger(name: str = "Old mail server", *, pool: str = "local", uuid: UUID | None = None) -> Guest:
    """Return a guest with a disk in a pool (or in none that the host knows) and an interface."""
    return Guest(
        uuid or uuid4(),
        name,
        vcpus=2,
        memory_mb=1024,
        disks=(Disk("vda", f"/srv/{name}.qcow2", pool, 10 * GIB, GIB),),
        nics=(Nic("52:54:00:AA:00:01", "br0"),),
    )


def place(
    fleet: SmallFleet, guest: Guest, host: str = "node1", power: PowerState = PowerState.RUNNING
) -> Guest:
    """Let a guest be on a host that no record knows."""
    fleet.simulation.add_guest(host, guest, power)
    return guest


def run_twice(fleet: SmallFleet, server: Server, host: str) -> None:
    """Let a server's guest run on another host as well, which the simulation itself would never do."""
    from_record = Guest(server.pk, server.instance_name, server.vcpus, server.memory_mb)
    fleet.simulation.add_guest(host, from_record, PowerState.SHUTDOWN)
    with transaction(fleet.simulation.path) as db:
        db.execute("DROP INDEX IF EXISTS guest_runs_once")
        db.execute("UPDATE guest SET power_state = 1 WHERE host = ? AND uuid = ?", (host, str(server.pk)))


def prepare(fleet: SmallFleet, server: Server, host: str) -> None:
    """Leave a host prepared for a server's guest, as a move does that was given up."""
    with transaction(fleet.simulation.path) as db:
        db.execute(
            "INSERT INTO guest (host, uuid, name, vcpus, memory_mb, power_state, prepared_only)"
            " VALUES (?, ?, ?, 1, 512, 0, 1)",
            (host, str(server.pk), server.instance_name),
        )
