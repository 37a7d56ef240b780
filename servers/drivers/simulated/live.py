"""Moving a running guest in the simulated fleet."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from servers.drivers import storage
from servers.drivers.base import (
    DestinationCheck,
    Guest,
    HostRef,
    JobKind,
    LiveMigration,
    Moved,
    MoveOptions,
    OnProgress,
)
from servers.drivers.simulated import checks, disks, faults, guests, jobs, outages, owners
from servers.drivers.simulated.copying import Outcome
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.live_copy import LiveCopy
from servers.drivers.simulated.owners import Role
from servers.drivers.simulated.store import seconds
from servers.errors import (
    HypervisorUnavailable,
    MigrationAborted,
    MigrationFailed,
    MigrationPreCheckError,
    UnableToMigrateToSelf,
)
from servers.states import PowerState

MIB = 1024 * 1024


class SimulatedLiveMigration(HostSession, LiveMigration):
    """A copy in rounds that goes on without its watcher."""

    def check_destination(self, guest: Guest, source: HostRef, options: MoveOptions) -> DestinationCheck:
        with self.asked("check_can_live_migrate_destination"), self.truth() as db:
            origin = outages.store_name(source)
            if origin == self.name:
                raise UnableToMigrateToSelf(instance_id=guest.uuid, host=self.ref.name)
            checks.check_hosts(outages.row(db, origin), outages.row(db, self.name))
            if missing := disks.missing_pools(db, origin, self.name, str(guest.uuid)):
                raise MigrationPreCheckError(reason=f"{self.ref.name} has no storage pool {missing}")
            landings = disks.landings(db, origin, self.name, str(guest.uuid))
            pools = {pool["name"] for _, pool in landings if pool is not None}
            promised = options.disk_over_commit is False
            return DestinationCheck(
                host=self.ref.name,
                pools=disks.pools(db, self.name),
                available_disk_bytes=disks.room(db, self.name, pools, promised=promised),
            )

    def check_source(self, guest: Guest, destination: DestinationCheck, options: MoveOptions) -> bool:
        with self.asked("check_can_live_migrate_source"), self.truth() as db:
            guests.defined(db, self.name, guest)
            its_disks = disks.disks(db, self.name, str(guest.uuid))
            block = storage.check_storage(
                self.ref.name, options, its_disks, disks.pools(db, self.name), destination.pools
            )
            if block:
                storage.check_room(guest, options, its_disks, destination.available_disk_bytes)
            return block

    def prepare(self, guest: Guest, source: HostRef, *, block_migration: bool) -> None:
        with self.asked("pre_live_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            if here is not None and not here["prepared_only"]:
                if guests.is_alive(here):
                    return  # it has arrived already
                raise guests.on_two_hosts(db, guest)
            self.check_owner(owners.of_guest(here) or owners.of_disks(db, self.name, guest), guest)
            origin = outages.store_name(source)
            owners.check(owners.of_guest(guests.defined(db, origin, guest)), self.fence, source, guest)
            if missing := disks.missing_pools(db, origin, self.name, str(guest.uuid)):
                raise MigrationFailed(host=source.name, reason=f"{self.ref.name} has no pool {missing}")
            self.fence.prove()
            guests.prepare(db, self.name, guest)
            owners.give(db, self.name, guest, self.fence, Role.PREPARED)
            disks.lay(db, origin, self.name, str(guest.uuid), owner=str(self.fence.owner))

    def move(
        self,
        guest: Guest,
        destination: HostRef,
        options: MoveOptions,
        on_progress: OnProgress,
        *,
        block_migration: bool,
    ) -> Moved:
        with self.asked("live_migration"):
            with self.truth() as db:
                job = self._begin(db, guest, destination, options, block_migration=block_migration)
            if job is None:
                return Moved(0, 0, 0)
            return self._moved(self.watch(job, on_progress))

    def _begin(
        self,
        db: sqlite3.Connection,
        guest: Guest,
        destination: HostRef,
        options: MoveOptions,
        *,
        block_migration: bool,
    ) -> Job | None:
        """Return the guest's move: the one that runs, the one that is over, or a new one; None: it is there anyway."""
        target = outages.store_name(destination)
        job = jobs.running(db, guest.uuid)
        if job is not None and (job.kind, job.destination) == (JobKind.LIVE_MIGRATION, target):
            self.check_owner(job.owner, guest)
            return job
        if guests.alive_on(db, guest.uuid) == target:
            last = jobs.newest(db, JobKind.LIVE_MIGRATION, guest.uuid, self.name, target)
            return last if last is not None and last.outcome is Outcome.DONE else None
        here = guests.defined(db, self.name, guest)
        self.check_owner(owners.of_guest(here), guest)
        reason = self._obstacle(db, here, job, target, block_migration=block_migration)
        if reason:
            raise MigrationFailed(host=self.ref.name, reason=reason)
        there = guests.row(db, target, guest.uuid)
        owners.check(owners.of_guest(there), self.fence, destination, guest)
        self.fence.prove()
        owners.give(db, self.name, guest, self.fence, Role.MOVING)
        return jobs.begin(
            db,
            JobKind.LIVE_MIGRATION,
            guest,
            self.name,
            self._plan(db, here, target, options),
            owner=str(self.fence.owner),
            destination=target,
            destination_name=destination.name,
        )

    def _obstacle(
        self,
        db: sqlite3.Connection,
        here: sqlite3.Row,
        job: Job | None,
        target: str,
        *,
        block_migration: bool,
    ) -> str:
        """Return why the move cannot begin, or an empty string."""
        if job is not None:
            return (
                f"another job runs for it ({job.kind}{f' to {job.destination}' if job.destination else ''})"
            )
        if not guests.is_alive(here):
            return "it does not run"
        if not outages.is_up(db, target):
            return f"{target} does not answer"
        if guests.row(db, target, here["uuid"]) is None:
            return f"{target} was not prepared for it"
        if not block_migration and disks.to_copy(db, self.name, target, here["uuid"]):
            return f"{target} does not see its disks, and they are not to be copied"
        return ""

    def _plan(self, db: sqlite3.Connection, here: sqlite3.Row, target: str, options: MoveOptions) -> LiveCopy:
        rates = [outages.row(db, name)["bandwidth_bytes_s"] for name in (self.name, target)]
        if options.bandwidth_mib_s:
            rates.append(options.bandwidth_mib_s * MIB)
        runs = here["power_state"] == PowerState.RUNNING
        return LiveCopy(
            started_at=seconds(),
            memory_bytes=here["memory_mb"] * MIB,
            disk_bytes=sum(r["used_bytes"] for r in disks.to_copy(db, self.name, target, here["uuid"])),
            bytes_s=min(rates),
            dirty_bytes_s=here["dirty_rate_bytes_s"] if runs else 0,
            auto_converge=options.auto_converge,
            post_copy=options.post_copy,
            timeout_s=options.completion_timeout_s,
            timeout_action=options.timeout_action,
            held_until=faults.held_until(db, "live_migration", self.name),
        )

    def _moved(self, job: Job) -> Moved:
        """Return what came of a move that is over. Raises MigrationAborted, MigrationFailed."""
        fate = job.plan.fate
        if job.switched and job.outcome is Outcome.FAILED:
            raise HypervisorUnavailable  # lost in post-copy: the guest is not here any more
        if job.outcome is Outcome.ABORTED:
            raise MigrationAborted(host=self.ref.name)
        if job.outcome is Outcome.FAILED:
            raise MigrationFailed(host=self.ref.name, reason=job.reason)
        total = job.plan.progress(fate.ended_at)
        return Moved(
            downtime_ms=round((fate.switched_at - fate.paused_at) * 1000),
            memory_bytes=total.memory_processed_bytes,
            disk_bytes=total.disk_processed_bytes,
        )

    def discard(self, guest: Guest) -> None:
        with self.asked("rollback_live_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            if here is None:
                return
            if guests.is_alive(here):
                raise guests.on_two_hosts(db, guest)
            if not here["prepared_only"]:
                return
            self.check_owner(here["owner"], guest)
            job = jobs.running(db, guest.uuid)
            self.fence.prove()
            if job is not None and job.destination == self.name:
                jobs.fail(db, job, f"{self.ref.name} has discarded the guest", at=seconds())
            guests.remove(db, self.name, guest.uuid)

    def clean_source(self, guest: Guest) -> None:
        with self.asked("post_live_migration"), self.truth() as db:
            here = guests.row(db, self.name, guest.uuid)
            where = guests.alive_on(db, guest.uuid)
            if where == self.name:
                raise guests.on_two_hosts(db, guest)
            if here is not None and (here["prepared_only"] or where is None):
                return  # it is on its way back, or this may be all there is of it
            if here is None and not disks.rows(db, self.name, str(guest.uuid)):
                return
            self.check_owner(here["owner"] if here else owners.of_disks(db, self.name, guest), guest)
            self.fence.prove()
            guests.remove(db, self.name, guest.uuid)

    def abort(self, guest: Guest) -> bool:
        with self.asked("live_migration_abort"), self.truth() as db:
            found = self._running(db, guest, "abort")
            if found is None:
                return False
            number, plan = found
            self.fence.prove()
            jobs.replan(db, number, replace(plan, aborted_at=seconds()))
            jobs.advance(db, seconds())
            return True

    def force_complete(self, guest: Guest) -> bool:
        with self.asked("live_migration_force_complete"), self.truth() as db:
            found = self._running(db, guest, "force_complete")
            if found is None:
                return False
            number, plan = found
            if plan.forced_at is None:
                self.fence.prove()
                jobs.replan(db, number, replace(plan, forced_at=seconds()))
            return True

    def _running(self, db: sqlite3.Connection, guest: Guest, ending: str) -> tuple[int, LiveCopy] | None:
        """Return the move that runs from here, has not switched over, and may end so; or None."""
        job = jobs.running(db, guest.uuid)
        if job is None or job.source != self.name or job.switched or not isinstance(job.plan, LiveCopy):
            return None
        self.check_owner(job.owner, guest)
        held = job.plan.held_until
        return (job.id, job.plan) if not held or ending in held else None
