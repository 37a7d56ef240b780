"""Moving a guest of the simulated fleet that is shut down for it."""

from __future__ import annotations

import sqlite3

from servers.drivers.base import ColdMigration, Guest, HostRef, JobKind, OnProgress
from servers.drivers.simulated import disks, guests, jobs, outages, owners
from servers.drivers.simulated.copying import DiskCopy, Outcome
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.owners import Role
from servers.drivers.simulated.store import seconds
from servers.errors import DiskMoveRolledBack, DriverFault
from servers.states import PowerState


class SimulatedColdMigration(HostSession, ColdMigration):
    """Disks are copied while the guest is off; a copy that fails starts it again where it was."""

    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        with self.asked("migrate_disk_and_power_off"):
            with self.truth() as db:
                job = self._begin(db, guest, destination)
            if job is None:
                return
            job = self.watch(job, on_progress)
            if job.outcome is not Outcome.DONE:
                raise DiskMoveRolledBack(reason=job.reason)

    def _begin(self, db: sqlite3.Connection, guest: Guest, destination: HostRef) -> Job | None:
        """Return the copy: the one that runs, the one that is over and still good, or a new one.

        None where the destination has the guest already, by this very move.
        """
        target = outages.store_name(destination)
        there = guests.row(db, target, guest.uuid)
        if there is not None and owners.is_mine(there["owner"], self.fence) and not there["prepared_only"]:
            return None
        here = guests.defined(db, self.name, guest)
        if here["role"] == Role.ENDED and here["owner"] == str(self.fence.owner):
            raise DiskMoveRolledBack(reason="the move was taken back")
        self.check_owner(owners.of_guest(here), guest)
        last = jobs.newest(db, JobKind.DISK_MOVE, guest.uuid, self.name, target)
        if last is not None and owners.is_mine(last.owner, self.fence) and self._is_good(db, here, last):
            return last
        reason = self._obstacle(db, here, target)
        if reason:
            raise DiskMoveRolledBack(reason=reason)
        copies = owners.of_disks(db, target, guest)
        owners.check(copies or owners.of_guest(there), self.fence, destination, guest)
        self.fence.prove()
        owners.give(db, self.name, guest, self.fence, Role.LEAVING)
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
            owner=str(self.fence.owner),
            destination=target,
            destination_name=destination.name,
            facts={"was_running": guests.is_alive(here), "boots": here["boots"]},
        )
        jobs.advance(db, now)
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
        with self.asked("finish_migration"):
            with self.truth() as db:
                here = guests.row(db, self.name, guest.uuid)
                self.check_owner(owners.of_guest(here) or owners.of_disks(db, self.name, guest), guest)
                if here is None or here["prepared_only"]:
                    self._define(db, guest, outages.store_name(source))
            return self._started(guest, power_on=power_on)

    def _define(self, db: sqlite3.Connection, guest: Guest, source: str) -> None:
        """Define the guest here over its copied disks. Raises DriverFault where they did not come."""
        expected = len(disks.rows(db, source, str(guest.uuid))) or len(guest.disks)
        arrived = [r for r in disks.rows(db, self.name, str(guest.uuid)) if r["content"]]
        job = jobs.running(db, guest.uuid)
        under_way = job is not None and job.destination == self.name
        if under_way or len(arrived) < expected:
            raise DriverFault(message=f"The disks of guest {guest.name} are not on host {self.ref.name}.")
        self.fence.prove()
        guests.prepare(db, self.name, guest)
        owners.give(db, self.name, guest, self.fence, Role.ARRIVED)
        owners.give_disks(db, self.name, str(guest.uuid), "")
        guests.carry_disk_state(db, source, self.name, str(guest.uuid))
        db.execute(
            "UPDATE guest SET prepared_only = 0, power_state = ? WHERE host = ? AND uuid = ?",
            (PowerState.SHUTDOWN, self.name, str(guest.uuid)),
        )

    def _started(self, guest: Guest, *, power_on: bool) -> PowerState:
        """Return the guest's power state, started if asked."""
        with self.truth() as db:
            here = guests.defined(db, self.name, guest)
        if not power_on or guests.is_alive(here):
            return PowerState(here["power_state"])
        self.fence.prove_alone(guest, self.ref.name)  # asks other hosts: outside of the transaction
        with self.truth() as db:
            self.check_owner(owners.of_guest(guests.defined(db, self.name, guest)), guest)
            return guests.start(db, self.name, guest, seconds())

    def confirm(self, guest: Guest) -> None:
        with self.asked("confirm_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            if here is None:
                return
            if guests.is_alive(here):
                raise guests.on_two_hosts(db, guest)
            self.check_owner(here["owner"], guest)
            if here["role"] != Role.LEAVING:
                raise DriverFault(message=f"Guest {guest.name} was not moved away from host {self.ref.name}.")
            self.fence.prove()
            guests.remove(db, self.name, guest.uuid)
            db.execute(
                "UPDATE guest SET role = ? WHERE uuid = ? AND owner IN (?, ?)",
                (Role.ENDED, str(guest.uuid), str(self.fence.owner), owners.ANYBODY),
            )

    def discard(self, guest: Guest) -> None:
        with self.asked("revert"), self.truth() as db:
            self._refuse_unless_mine(db, guest)
            job = jobs.running(db, guest.uuid)
            here = guests.row(db, self.name, guest.uuid)
            mine = job is not None and job.destination == self.name
            if not mine and here is None and not disks.rows(db, self.name, str(guest.uuid)):
                return
            self.fence.prove()
            if job is not None and mine:
                jobs.fail(db, job, f"{self.ref.name} has discarded the disks", at=seconds())
            guests.remove(db, self.name, guest.uuid)

    def _refuse_unless_mine(self, db: sqlite3.Connection, guest: Guest) -> None:
        """Raise a fault for a guest, copies, or a copy that runs, which are not this move's own, or all there is."""
        job = jobs.running(db, guest.uuid)
        if job is not None and job.destination == self.name:
            self.check_owner(job.owner, guest)
        here = guests.row(db, self.name, guest.uuid)
        self.check_owner(here["owner"] if here else owners.of_disks(db, self.name, guest), guest)
        if here is None or here["prepared_only"]:
            return
        kept = db.execute(
            "SELECT owner FROM guest WHERE uuid = ? AND host != ? AND role = ?",
            (here["uuid"], self.name, Role.LEAVING),
        ).fetchone()
        if here["role"] != Role.ARRIVED or kept is None:
            raise guests.on_two_hosts(db, guest)
        self.check_owner(kept["owner"], guest)

    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        with self.asked("finish_revert_migration"):
            with self.truth() as db:
                here = guests.defined(db, self.name, guest)
                self.check_owner(here["owner"], guest)
                job = jobs.running(db, guest.uuid)
                if job is not None and job.source == self.name and job.kind is JobKind.DISK_MOVE:
                    self.check_owner(job.owner, guest)
                    self.fence.prove()
                    jobs.fail(db, job, "the guest is brought back", at=seconds())
            left = here["role"] == Role.LEAVING
            power = self._started(guest, power_on=power_on and left)
            if left:
                with self.truth() as db:
                    self.fence.prove()
                    owners.give(db, self.name, guest, self.fence, Role.ENDED)
            return power
