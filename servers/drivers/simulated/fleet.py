"""Setting the simulated fleet up, making it go wrong, and reading back what has become of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from servers.drivers.base import LOOKING, Fence, Guest, HostRef, Pool
from servers.drivers.simulated import disks, faults, guests, jobs, outages
from servers.drivers.simulated.driver import SimulatedDriver
from servers.drivers.simulated.faults import FaultMode
from servers.drivers.simulated.readings import Readings
from servers.drivers.simulated.store import create, insert, seconds
from servers.states import PowerState

GIB = 1024**3
GIGABIT_BYTES_S = 125_000_000
LIBVIRT_9 = 9_000_000

AgentWord = Literal["none", "booting", "ready"]


class Fleet(Readings):
    """Hosts and guests of the simulation, all of them in the store at `path`, which is made where there is none."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        create(self.path)

    def driver(self, host: HostRef, fence: Fence = LOOKING) -> SimulatedDriver:
        """Return the driver of a host, by the path of its URI (`simulated:///node1`)."""
        return SimulatedDriver(host, self.path, fence)

    # what there is

    def add_host(
        self,
        name: str,
        *,
        vcpus: int = 16,
        memory_mb: int = 65536,
        disk_gb: int = 1000,
        cpu_model: str = "Cascadelake-Server",
        version: int = LIBVIRT_9,
        hypervisor_type: str = "QEMU",
        pools: Iterable[Pool] | None = None,
        bandwidth_bytes_s: int = 10 * GIGABIT_BYTES_S,
        disk_bytes_s: int = 500_000_000,
    ) -> HostRef:
        """Add a host, or change it; return how to reach it. Without pools it has a local one called "default".

        bandwidth_bytes_s is that of its migration network, disk_bytes_s the rate at which backups are written.
        """
        row: dict[str, object] = {
            "name": name,
            "hypervisor_type": hypervisor_type,
            "version": version,
            "vcpus": vcpus,
            "memory_mb": memory_mb,
            "disk_gb": disk_gb,
            "cpu_model": cpu_model,
            "bandwidth_bytes_s": bandwidth_bytes_s,
            "disk_bytes_s": disk_bytes_s,
        }
        local = Pool("default", "/var/lib/libvirt/images", False, disk_gb * GIB, 0)
        with jobs.truth(self.path) as db:
            lost = db.execute("SELECT lost_at FROM host WHERE name = ?", (name,)).fetchone()
            row["lost_at"] = lost["lost_at"] if lost else None
            insert(db, "host", row, otherwise="REPLACE")
            db.execute("DELETE FROM pool WHERE host = ?", (name,))
            for pool in [local] if pools is None else pools:
                disks.add_pool(db, name, pool)
        return HostRef(name=name, driver="simulated", uri=f"simulated:///{name}")

    def add_guest(
        self,
        host: str,
        guest: Guest,
        power_state: PowerState = PowerState.RUNNING,
        *,
        agent: bool = False,
        agent_boot_s: float = 0,
        dirty_rate_bytes_s: int = 0,
    ) -> None:
        """Define a guest on a host, in any power state; its disks hold something of its own.

        Raises GuestOnTwoHosts where it runs elsewhere, ValueError where the host has it, or lacks a pool.
        """
        uuid, now = str(guest.uuid), seconds()
        with jobs.truth(self.path) as db:
            if guests.row(db, host, uuid) is not None:
                raise ValueError(f"host {host} has guest {guest.name} already")
            if power_state in guests.ALIVE and guests.alive_on(db, uuid) is not None:
                raise guests.on_two_hosts(db, guest)
            places = {r["name"]: r["place"] for r in db.execute("SELECT * FROM pool WHERE host = ?", (host,))}
            for position, disk in enumerate(guest.disks):
                if disk.pool not in places:
                    raise ValueError(f"host {host} has no pool {disk.pool!r}")
                disks.add_disk(db, host, uuid, position, disk, places[disk.pool])
            alive = power_state in guests.ALIVE
            row = {
                "host": host,
                "uuid": uuid,
                "name": guest.name,
                "vcpus": guest.vcpus,
                "memory_mb": guest.memory_mb,
                "power_state": power_state,
                "dirty_rate_bytes_s": dirty_rate_bytes_s,
                "boots": int(alive),
                "running_since": now if power_state == PowerState.RUNNING else None,
                "agent": "ready" if agent else "none",
                "agent_boot_s": agent_boot_s,
                "agent_ready_at": now if alive else None,
            }
            insert(db, "guest", row)
            guests.connect(db, guest)

    def remove_guest(self, host: str, uuid: UUID) -> None:
        """Take a guest away behind everybody's back; a job of it fails."""
        with jobs.truth(self.path) as db:
            job = jobs.running(db, uuid)
            if job is not None and host in {job.source, job.destination}:
                jobs.fail(db, job, f"the guest was removed from {host}", at=seconds())
            guests.remove(db, host, uuid)

    def stop_guest(self, host: str, uuid: UUID, state: PowerState = PowerState.SHUTDOWN) -> None:
        """Let a guest shut down, pause or crash behind everybody's back."""
        with jobs.truth(self.path) as db:
            jobs.stop(db, host, uuid, state, seconds())

    def start_guest(self, host: str, guest: Guest) -> None:
        """Start a guest behind everybody's back. Raises GuestOnTwoHosts."""
        with jobs.truth(self.path) as db:
            guests.start(db, host, guest, seconds())

    def set_dirty_rate(self, uuid: UUID, bytes_s: int) -> None:
        """Let the guest write so much memory; a move that runs keeps the rate with which it began."""
        with jobs.truth(self.path) as db:
            db.execute("UPDATE guest SET dirty_rate_bytes_s = ? WHERE uuid = ?", (bytes_s, str(uuid)))

    def set_agent(self, uuid: UUID, state: AgentWord) -> None:
        """Let the guest have no agent, one that is booting until this is set again, or one that answers."""
        with jobs.truth(self.path) as db:
            db.execute("UPDATE guest SET agent = ? WHERE uuid = ?", (state, str(uuid)))

    def write_disk(self, host: str, uuid: UUID, content: str, device: str = "") -> None:
        """Let the guest write to its disk (the root disk unless a device is named)."""
        with jobs.truth(self.path) as db:
            row = next(r for r in disks.rows(db, host, str(uuid)) if device in {"", r["device"]})
            db.execute(
                "UPDATE volume SET content = ? WHERE place = ? AND path = ?",
                (content, row["place"], row["path"]),
            )

    # what goes wrong

    def set_fault(
        self,
        verb: str,
        host: str | None = None,
        *,
        mode: FaultMode | str = FaultMode.REFUSE,
        error: str = "DriverFault",
        args: Mapping[str, Any] | None = None,
        times: int | Literal["always"] | None = None,
        hang_limit_s: float = 60.0,
    ) -> None:
        """Let a verb (`faults.VERBS`) go wrong on a host, or on every host where none is given.

        error is a name out of `servers.errors`, Nova's name for one, or one of Python's own. times=None is
        always.
        """
        facts = {"message": f"{verb} was told to fail."} if args is None and error == "DriverFault" else args
        count = None if times == "always" else times
        with jobs.truth(self.path) as db:
            faults.set_fault(db, verb, host, FaultMode(mode), error, facts or {}, count, hang_limit_s)

    def clear_faults(self) -> None:
        """Forget every fault and every hold; a move that is held already stays held."""
        with jobs.truth(self.path) as db:
            db.execute("DELETE FROM fault")
            db.execute("DELETE FROM hold")

    def set_hold(self, verb: str, host: str, until: Iterable[str] = ("abort", "force_complete")) -> None:
        """Let each `live_migration` that begins on this host never end, but by what `until` names."""
        if verb != "live_migration":
            raise ValueError(f"{verb} cannot be held")
        with jobs.truth(self.path) as db:
            db.execute("INSERT OR REPLACE INTO hold VALUES (?, ?, ?)", (verb, host, json.dumps(list(until))))

    def lose_host(self, name: str) -> None:
        """Lose a host: it answers nothing, its guests freeze, jobs from it and to it fail."""
        with jobs.truth(self.path) as db:
            outages.lose(db, name, seconds())

    def restore_host(self, name: str) -> None:
        """Bring a lost host back with its guests."""
        with jobs.truth(self.path) as db:
            outages.restore(db, name, seconds())
