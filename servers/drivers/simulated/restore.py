"""Making a new simulated guest of a backup."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import replace

from servers.drivers.base import Guest, JobKind, OnProgress, Pool, Restore, Restored, Saved
from servers.drivers.simulated import disks, guests, jobs, outages
from servers.drivers.simulated.copying import DiskCopy, Outcome
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.owners import Role
from servers.drivers.simulated.store import insert, seconds
from servers.errors import RestoreFailed
from servers.states import PowerState


class SimulatedRestore(HostSession, Restore):
    """The new disk holds what the saved one held; it lies in the pool of the same name, else in the first one."""

    def make(self, guest: Guest, saved: Saved, on_progress: OnProgress, *, power_on: bool) -> Restored:
        with self.asked("restore"):
            with self.truth() as db:
                is_made = self._is_made(db, guest)
            if not is_made:
                self._copy(guest, saved, on_progress)
            if power_on:
                self._start(guest)
            with self.truth() as db:
                here = guests.defined(db, self.name, guest)
                (disk,) = disks.disks(db, self.name, str(guest.uuid))
            return Restored(disk, PowerState(here["power_state"]))

    def _start(self, guest: Guest) -> None:
        """Start the guest unless it runs."""
        with self.truth() as db:
            if guests.is_alive(guests.defined(db, self.name, guest)):
                return
        self.fence.prove_alone(guest, self.ref.name)
        with self.truth() as db:
            guests.start(db, self.name, guest, seconds())

    def _is_made(self, db: sqlite3.Connection, guest: Guest) -> bool:
        """Return whether the guest was made here before. Raises RestoreFailed for one of another origin."""
        found = guests.row(db, self.name, guest.uuid)
        if found is None:
            return False
        if [disk.path for disk in disks.disks(db, self.name, str(guest.uuid))] != [path_of(guest)]:
            raise RestoreFailed(reason=f"host {self.ref.name} has guest {guest.name} already")
        self.check_owner(found["owner"], guest)
        return True

    def _copy(self, guest: Guest, saved: Saved, on_progress: OnProgress) -> None:
        """Copy the disk and define the guest."""
        verify(saved)
        with self.truth() as db:
            job = self._begin(db, guest, saved)
        job = self.watch(job, on_progress)
        if job.outcome is not Outcome.DONE:
            raise RestoreFailed(reason=job.reason)
        with self.truth() as db:
            self._define(db, guest, saved)
            jobs.note(db, job, seen=True)

    def discard(self, guest: Guest) -> None:
        with self.asked("discard_restore"), self.truth() as db:
            self._remove(db, guest)
            last = self._unseen(db, guest)
            if last is None:
                return
            self.check_owner(last.owner, guest)
            self.fence.prove()
            if last.outcome is Outcome.RUNNING:
                jobs.fail(db, last, "it was given up", at=seconds())
            jobs.note(db, last, seen=True)

    def _remove(self, db: sqlite3.Connection, guest: Guest) -> None:
        """Remove the guest that this very restore has made here, and stop it for that: nobody was told of it."""
        here = guests.row(db, self.name, guest.uuid)
        if here is None:
            return
        self.check_owner(here["owner"], guest)
        if here["role"] != Role.MADE:
            return
        self.fence.prove()
        guests.remove(db, self.name, guest.uuid)

    def _begin(self, db: sqlite3.Connection, guest: Guest, saved: Saved) -> Job:
        """Return the copy for this guest: the one that runs, the one that ended unseen, or a new one."""
        last = self._unseen(db, guest)
        if last is not None and last.outcome in {Outcome.RUNNING, Outcome.DONE}:
            return last
        pool = self._pool(db, saved)
        if pool.available_bytes < saved.disk.used_bytes:
            raise RestoreFailed(reason=f"pool {pool.name} of host {self.ref.name} has no room for the disk")
        plan = DiskCopy(seconds(), max(saved.disk.used_bytes, 1), outages.row(db, self.name)["disk_bytes_s"])
        self.fence.prove()
        return jobs.begin(db, JobKind.RESTORE, guest, self.name, plan, owner=str(self.fence.owner))

    def _pool(self, db: sqlite3.Connection, saved: Saved) -> Pool:
        """Return the pool in which the disk will lie. Raises RestoreFailed where there is none."""
        pools = {pool.name: pool for pool in disks.pools(db, self.name)}
        if not pools:
            raise RestoreFailed(reason=f"host {self.ref.name} has no storage pool")
        return pools.get(saved.disk.pool) or next(iter(pools.values()))

    def _define(self, db: sqlite3.Connection, guest: Guest, saved: Saved) -> None:
        """Give this host the guest, shut down, with its disk and its interfaces."""
        self.fence.prove()
        was = json.loads(saved.definition)
        pool = self._pool(db, saved)
        disk = replace(saved.disk, path=path_of(guest), pool=pool.name)
        place = disks.place_of(self.name, pool)
        disks.add_disk(db, self.name, str(guest.uuid), 0, disk, place, content=was["content"])
        row = {
            "host": self.name,
            "uuid": str(guest.uuid),
            "name": guest.name,
            "vcpus": guest.vcpus,
            "memory_mb": guest.memory_mb,
            "power_state": PowerState.SHUTDOWN,
            "agent": was["agent"],
            "owner": str(self.fence.owner),
            "role": Role.MADE,
        }
        insert(db, "guest", row)
        guests.connect(db, guest)

    def _unseen(self, db: sqlite3.Connection, guest: Guest) -> Job | None:
        """Return the guest's newest copy here, unless its end was seen by the one who had asked for it."""
        last = jobs.newest(db, JobKind.RESTORE, guest.uuid, self.name, "")
        return None if last is None or last.facts.get("seen") else last


def path_of(guest: Guest) -> str:
    """Return where the disk of a guest lies that was made of a backup."""
    return f"/var/lib/libvirt/images/{guest.uuid}.qcow2"


def verify(saved: Saved) -> None:
    """Read the backup to its end. Raises RestoreFailed where it is not what was saved."""
    digest = hashlib.sha256()
    for piece in saved.open():
        digest.update(piece)
    if digest.hexdigest() != saved.sha256:
        raise RestoreFailed(reason="the backup is not what was saved: its SHA-256 is another one")
