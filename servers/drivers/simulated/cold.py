"""Moving a guest of the simulated fleet that is shut down for it."""

from __future__ import annotations

import sqlite3

from servers.drivers.base import ColdMigration, Guest, HostRef, JobKind, OnProgress
from servers.drivers.simulated import disks, guests, jobs, outages
from servers.drivers.simulated.copying import DiskCopy, Outcome
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.seat import Seat
from servers.drivers.simulated.store import seconds
from servers.errors import DiskMoveRolledBack, DriverFault
from servers.states import PowerState


class SimulatedColdMigration(Seat, ColdMigration):
    """Disks are copied while the guest is off; a copy that fails starts it again where it was."""

    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        with self.asked("migrate_disk_and_power_off"):
            with self.truth() as db:
                job = self._begin(db, guest, destination)
            job = self.watch(job, on_progress)
            if job.outcome is not Outcome.DONE:
                raise DiskMoveRolledBack(reason=job.reason)

    def _begin(self, db: sqlite3.Connection, guest: Guest, destination: HostRef) -> Job:
        """Return the copy: the one that runs, the one that is over and still good, or a new one."""
        target = outages.store_name(destination)
        here = guests.defined(db, self.name, guest)
        last = jobs.newest(db, JobKind.DISK_MOVE, guest.uuid, self.name, target)
        if last is not None and self._is_good(db, here, last):
            return last
        reason = self._obstacle(db, here, target)
        if reason:
            raise DiskMoveRolledBack(reason=reason)
        now = seconds()
        guests.set_power(db, self.name, guest.uuid, PowerState.SHUTDOWN, now)
        disks.drop(db, target, str(guest.uuid))  # an old copy that came to nothing
        size = sum(r["used_bytes"] for r in disks.to_copy(db, self.name, target, str(guest.uuid)))
        rate = min(outages.row(db, name)["bandwidth_bytes_s"] for name in (self.name, target))
        job = jobs.begin(
            db,
            JobKind.DISK_MOVE,
            guest,
            self.name,
            DiskCopy(now, size, rate),
            destination=target,
            destination_name=destination.name,
            facts={"was_running": guests.is_alive(here), "boots": here["boots"]},
        )
        jobs.settle(db, now)
        return job

    def _is_good(self, db: sqlite3.Connection, here: sqlite3.Row, last: Job) -> bool:
        """Return whether a copy runs, or is complete, and the guest was not started here since."""
        if last.outcome is Outcome.RUNNING:
            return True
        held = disks.rows(db, last.destination, last.guest)
        complete = len(held) == len(disks.rows(db, self.name, last.guest))
        unchanged = here["boots"] == last.facts["boots"]
        return last.outcome is Outcome.DONE and complete and unchanged

    def _obstacle(self, db: sqlite3.Connection, here: sqlite3.Row, target: str) -> str:
        """Return why the disks cannot be moved, or an empty string; nothing has happened yet."""
        where = guests.alive_on(db, here["uuid"])
        if where not in {None, self.name}:
            return f"it runs on {where}"
        if jobs.running(db, here["uuid"]) is not None:
            return "another job runs for it"
        if not outages.is_up(db, target):
            return f"{target} does not answer"
        there = guests.row(db, target, here["uuid"])
        if there is not None and not there["prepared_only"]:
            return f"{target} has a copy of it already"
        missing = disks.missing_pools(db, self.name, target, here["uuid"])
        return f"{target} has no pool {missing}" if missing else ""

    def finish(self, guest: Guest, source: HostRef, *, power_on: bool) -> PowerState:
        with self.asked("finish_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            if here is None or here["prepared_only"]:
                self._define(db, guest, outages.store_name(source))
            return self._state(db, guest, power_on=power_on)

    def _define(self, db: sqlite3.Connection, guest: Guest, source: str) -> None:
        """Define the guest here over its copied disks. Raises DriverFault where they did not come."""
        expected = len(disks.rows(db, source, str(guest.uuid))) or len(guest.disks)
        arrived = [r for r in disks.rows(db, self.name, str(guest.uuid)) if r["content"]]
        job = jobs.running(db, guest.uuid)
        under_way = job is not None and job.destination == self.name
        if under_way or len(arrived) < expected:
            raise DriverFault(message=f"The disks of guest {guest.name} are not on host {self.ref.name}.")
        guests.prepare(db, self.name, guest)
        guests.carry_disk_state(db, source, self.name, str(guest.uuid))
        db.execute(
            "UPDATE guest SET prepared_only = 0, power_state = ? WHERE host = ? AND uuid = ?",
            (PowerState.SHUTDOWN, self.name, str(guest.uuid)),
        )

    def _state(self, db: sqlite3.Connection, guest: Guest, *, power_on: bool) -> PowerState:
        """Return the guest's power state, started if asked."""
        if power_on:
            return guests.start(db, self.name, guest, seconds())
        return PowerState(guests.defined(db, self.name, guest)["power_state"])

    def confirm(self, guest: Guest) -> None:
        with self.asked("confirm_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            if here is not None and guests.is_alive(here):
                raise guests.on_two_hosts(db, guest)
            guests.remove(db, self.name, guest.uuid)

    def discard(self, guest: Guest) -> None:
        with self.asked("revert"), self.truth() as db:
            job = jobs.running(db, guest.uuid)
            if job is not None and job.destination == self.name:
                jobs.fail(db, job, f"{self.ref.name} has discarded the disks", at=seconds())
            guests.remove(db, self.name, guest.uuid)

    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        with self.asked("finish_revert_migration"), self.truth() as db:
            guests.defined(db, self.name, guest)
            job = jobs.running(db, guest.uuid)
            if job is not None and job.source == self.name and job.kind is JobKind.DISK_MOVE:
                jobs.fail(db, job, "the guest is brought back", at=seconds())
            return self._state(db, guest, power_on=power_on)

    def power_off(self, guest: Guest) -> PowerState:
        with self.asked("power_off"), self.truth() as db:
            if guests.is_alive(guests.defined(db, self.name, guest)):
                jobs.stop(db, self.name, guest.uuid, PowerState.SHUTDOWN, seconds())
            return PowerState(guests.defined(db, self.name, guest)["power_state"])
