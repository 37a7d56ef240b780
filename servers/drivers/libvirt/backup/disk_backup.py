"""One backup on its way: from the guest into a spare volume of its host, and from there into a file here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import libvirt

from servers import clock
from servers.drivers.base import Disk, Guest, OnProgress, Progress, Snapshot
from servers.drivers.libvirt import copied, job, notes, redefining
from servers.drivers.libvirt.backup import backup_job, fetching, freezing, spare
from servers.drivers.libvirt.backup.backup_job import Ended
from servers.drivers.libvirt.backup.fetching import Fetch
from servers.drivers.libvirt.backup.spare import Spare
from servers.drivers.libvirt.connections import connect
from servers.drivers.libvirt.notes import Role, Stage
from servers.drivers.libvirt.seat import Seat
from servers.drivers.libvirt.watched import POLL_S, watched
from servers.errors import BackupFailed
from servers.states import PowerState

OFF = frozenset({PowerState.SHUTDOWN, PowerState.CRASHED, PowerState.NOSTATE})
DISK_FORMAT = "qcow2"
T = TypeVar("T")


class DiskBackup:
    """A backup of the guest's first disk into `target`."""

    def __init__(self, seat: Seat, guest: Guest, target: Path, on_progress: OnProgress) -> None:
        self.seat, self.guest, self.target = seat, guest, target
        self.on_progress = on_progress
        self.copy = Progress()
        self.fetch_bytes = self.fetched = 0

    def run(self) -> Snapshot:
        """Return the finished backup. What on_progress raises leaves the job running. Raises DriverFault."""
        fetching.require_qemu_img()
        found = copied.found(self.seat, self.guest)
        if not found.disks:
            raise BackupFailed(reason="the guest has no disk of its own")
        disk = found.disks[0]
        self.fetch_bytes = spare.needed_bytes(disk)
        fetching.require_room(self.target, self.fetch_bytes)
        begun = self._known() or self._begin(disk, off=found.power_state in OFF)
        complete = begun if begun.note.stage is Stage.COMPLETE else self._watch(begun)
        sha256 = self._fetch(complete)
        self._watched("check", lambda: fetching.check(self.target))
        definition = self._ask(self._definition)
        self._remove(complete)
        size = fetching.size_of(self.target)
        return Snapshot(size, DISK_FORMAT, sha256, complete.note.consistent, definition)

    # beginning

    def _known(self) -> Spare | None:
        """Return the copy for this very target that runs or is complete already; any other is removed."""

        def look(connection: libvirt.virConnect) -> Spare | None:
            known = spare.find(connection, self.guest)
            if known is None or known.note.target != str(self.target):
                return None
            if known.note.stage is Stage.FREEZING:
                freezing.thaw(connection.lookupByUUIDString(str(self.guest.uuid)))
                known = known.write(connection, stage=Stage.COPYING)
            there = known.note.stage is Stage.COMPLETE and known.volume(connection) is not None
            return known if there or backup_job.is_running(connection, self.guest, known) else None

        known = self._ask(look, changes=True)
        if known is None:
            while not self._ask(
                lambda connection: backup_job.discarded(connection, self.guest), changes=True
            ):
                self._report()
                clock.sleep(POLL_S)
        return known

    def _begin(self, disk: Disk, *, off: bool) -> Spare:
        """Begin a copy: a job where the guest has a process, else at once to its end."""

        def make(connection: libvirt.virConnect) -> Spare:
            backup_job.require_idle(connection, self.guest)
            pool = spare.choose_pool(connection, disk)
            note = notes.note(
                self.guest, Role.BACKUP, self.seat.ref, target=str(self.target), stage=Stage.COPYING
            )
            return Spare(pool, spare.name_of(self.guest), note).write(connection)

        empty = self._ask(make, changes=True)
        if off:
            consistent = self._watched("copy", lambda: self._clone(disk, empty))
            return self._complete(empty, consistent=consistent)
        limit_s = self.seat.settings.timeout_s + 2 * freezing.FREEZE_S
        return self._ask(
            lambda connection: backup_job.begin(connection, self.guest, disk, empty),
            changes=True,
            limit_s=limit_s,
        )

    def _clone(self, disk: Disk, empty: Spare) -> bool:
        connection = connect(self.seat.ref.uri)
        try:
            return backup_job.clone(connection, self.guest, disk, empty)
        finally:
            connection.close()

    # going on

    def _watch(self, begun: Spare) -> Spare:
        """Report until the job is over; return the spare volume, complete. Raises BackupFailed."""
        while True:
            seen = self._ask(lambda connection: backup_job.statistics(connection, self.guest, begun))
            if isinstance(seen, Ended):
                break
            self.copy = job.progress(seen)
            self._report()
            clock.sleep(POLL_S)
        if seen.reason:
            raise BackupFailed(reason=seen.reason)
        return self._complete(begun, consistent=begun.note.consistent)

    def _complete(self, copy: Spare, *, consistent: bool) -> Spare:
        """Note that the copy is complete; never from a thread that may have been left behind."""
        facts = {"stage": Stage.COMPLETE, "consistent": consistent}
        return self._ask(lambda connection: copy.write(connection, **facts), changes=True)

    def _fetch(self, complete: Spare) -> str:
        """Bring the spare volume here; return its SHA-256."""

        def path(connection: libvirt.virConnect) -> str:
            volume = complete.volume(connection)
            if volume is None:
                raise BackupFailed(reason="the copy is gone from its storage pool")
            return str(volume.path())

        fetch = Fetch(self.seat.ref.uri, self._ask(path), self.target)

        def report() -> None:
            self.fetch_bytes, self.fetched = fetch.total or self.fetch_bytes, fetch.done
            self._report()

        try:
            sha256 = watched(self.seat, f"fetch of {self.guest.name}", fetch.run, report)
        except BaseException:
            fetch.stop.set()
            raise
        report()
        return sha256

    def _definition(self, connection: libvirt.virConnect) -> str:
        return redefining.saved_definition(connection.lookupByUUIDString(str(self.guest.uuid)))

    def _remove(self, complete: Spare) -> None:
        self._ask(lambda connection: spare.remove(connection, complete), changes=True)

    # reporting

    def _report(self) -> None:
        """Report how far the copy on the host and its way here are, in one."""
        copied_bytes = self.copy.disk_total_bytes if self.fetched else self.copy.disk_processed_bytes
        total, processed = self.copy.disk_total_bytes + self.fetch_bytes, copied_bytes + self.fetched
        self.on_progress(
            Progress(
                disk_total_bytes=total,
                disk_processed_bytes=processed,
                disk_remaining_bytes=max(total - processed, 0),
            )
        )

    def _watched(self, verb: str, work: Callable[[], T]) -> T:
        return watched(self.seat, f"{verb} of {self.guest.name}", work, self._report)

    def _ask(
        self,
        question: Callable[[libvirt.virConnect], T],
        *,
        changes: bool = False,
        limit_s: float | None = None,
    ) -> T:
        return self.seat.ask("snapshot", question, changes=changes, limit_s=limit_s)
