"""The driver of one simulated host."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from servers.drivers.base import LOOKING, Driver, Fence, FoundGuest, Guest, HostInfo, HostRef, JobKind
from servers.drivers.simulated import disks, guests, jobs, outages, owners
from servers.drivers.simulated.agent import SimulatedGuestAgent
from servers.drivers.simulated.backup import SimulatedBackup
from servers.drivers.simulated.cold import SimulatedColdMigration
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.live import SimulatedLiveMigration
from servers.drivers.simulated.power import SimulatedPower
from servers.drivers.simulated.restore import SimulatedRestore
from servers.drivers.simulated.store import seconds


class SimulatedDriver(Driver):
    """A host of the fleet in the store at `path`. It holds no state, so any number of them may speak at once."""

    live_migration: SimulatedLiveMigration
    cold_migration: SimulatedColdMigration
    power: SimulatedPower
    backup: SimulatedBackup
    restore: SimulatedRestore
    agent: SimulatedGuestAgent

    def __init__(self, host: HostRef, path: Path, fence: Fence = LOOKING) -> None:
        super().__init__(host, fence)
        self.session = HostSession(path, host, fence)
        self.live_migration = SimulatedLiveMigration(path, host, fence)
        self.cold_migration = SimulatedColdMigration(path, host, fence)
        self.power = SimulatedPower(path, host, fence)
        self.backup = SimulatedBackup(path, host, fence)
        self.restore = SimulatedRestore(path, host, fence)
        self.agent = SimulatedGuestAgent(path, host, fence)

    def describe(self) -> HostInfo:
        with self.session.asked("describe"), self.session.truth() as db:
            host = outages.row(db, self.session.name)
            return HostInfo(
                hypervisor_type=host["hypervisor_type"],
                hypervisor_version=host["version"],
                hostname=host["name"],
                vcpus=host["vcpus"],
                memory_mb=host["memory_mb"],
                disk_gb=host["disk_gb"],
                cpu_model=host["cpu_model"],
                pools=disks.pools(db, self.session.name),
            )

    def find_guest(self, guest: UUID) -> FoundGuest | None:
        with self.session.asked("find_guest"), self.session.truth() as db:
            found = guests.row(db, self.session.name, guest)
            return None if found is None else guests.describe(db, found, seconds())

    def list_guests(self) -> list[FoundGuest]:
        with self.session.asked("list_guests"), self.session.truth() as db:
            found = db.execute("SELECT * FROM guest WHERE host = ? ORDER BY name", (self.session.name,))
            return [guests.describe(db, r, seconds()) for r in found.fetchall()]

    def disown(self, guest: Guest) -> None:
        with self.session.asked("disown"), self.session.truth() as db:
            here, owner, name = (
                guests.row(db, self.session.name, guest.uuid),
                str(self.fence.owner),
                self.session.name,
            )
            job = jobs.running(db, guest.uuid)
            mine = job is not None and job.owner == owner and name in {job.source, job.destination}
            if job is not None and mine and job.kind is not JobKind.LIVE_MIGRATION:
                self.fence.prove()
                jobs.fail(db, job, "it was given up", at=seconds())
            if here is None and owners.of_disks(db, name, guest) == owner:
                self.fence.prove()
                disks.drop(db, name, str(guest.uuid))
            elif here is not None and here["owner"] == owner:
                self.fence.prove()
                if not here["prepared_only"]:
                    owners.give(db, name, guest, self.fence, owners.Role.NONE)
                elif job is None:
                    guests.remove(db, name, guest.uuid)
