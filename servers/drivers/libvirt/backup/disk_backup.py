"""One backup on its way: from the guest into a scratch volume of its host, and from there into a file here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import libvirt

from servers import clock
from servers.drivers.base import Disk, Guest, OnProgress, Progress, Snapshot
from servers.drivers.libvirt import copied, job, redefining, volume_sidecar
from servers.drivers.libvirt.backup import backup_job, fetching, freezing, scratch_volume
from servers.drivers.libvirt.backup.backup_job import Ended
from servers.drivers.libvirt.backup.fetching import Fetch
from servers.drivers.libvirt.backup.scratch_volume import BackupScratch
from servers.drivers.libvirt.connections import own_connection
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.volume_sidecar import Role, Stage
from servers.drivers.libvirt.watched import POLL_S, watched
from servers.errors import BackupFailed
from servers.states import PowerState

OFF = frozenset({PowerState.SHUTDOWN, PowerState.CRASHED, PowerState.NOSTATE})
DISK_FORMAT = "qcow2"
VERB = "snapshot"
T = TypeVar("T")


class DiskBackup:
    """A backup of the guest's first disk into `target`."""

    def __init__(self, session: HostSession, guest: Guest, target: Path, on_progress: OnProgress) -> None:
        self.session, self.guest, self.target = session, guest, target
        self.on_progress = on_progress
        self.copy = Progress()
        self.fetch_bytes = self.fetched = 0

    def run(self) -> Snapshot:
        """Return the finished backup. What on_progress raises leaves the job running. Raises DriverFault."""
        fetching.require_qemu_img()
        found = copied.found(self.session, self.guest)
        if not found.disks:
            raise BackupFailed(reason="the guest has no disk of its own")
        disk = found.disks[0]
        self.fetch_bytes = scratch_volume.needed_bytes(disk)
        fetching.require_room(self.target, self.fetch_bytes)
        begun = self._known() or self._begin(disk, off=found.power_state in OFF)
        complete = begun if begun.sidecar.stage is Stage.COMPLETE else self._watch(begun)
        sha256 = self._fetch(complete)
        watched(
            self.session,
            f"check of {self.guest.name}",
            nullcontext,
            lambda _: fetching.check(self.target),
            self._report,
        )
        definition = self._ask(self._definition)
        self._remove(complete)
        size = fetching.size_of(self.target)
        return Snapshot(size, DISK_FORMAT, sha256, complete.sidecar.consistent, definition)

    # beginning

    def _known(self) -> BackupScratch | None:
        """Return the copy for this very target that runs or is complete already; any other of ours is removed.

        Raises BelongsToAnother.
        """
        guest = self.guest
        known = self._ask(lambda connection: backup_job.own(connection, self.session, guest))
        if known is None:
            return None
        left = known
        if left.sidecar.stage is Stage.FREEZING:
            left = self._ask(lambda connection: backup_job.thawed(connection, guest, known), changes=True)
        ours = left.sidecar.target == str(self.target)
        if ours and self._ask(lambda connection: backup_job.is_usable(connection, guest, left)):
            return left
        while not self._ask(
            lambda connection: backup_job.discarded(connection, self.session, guest), changes=True
        ):
            self._report()
            clock.sleep(POLL_S)
        return None

    def _begin(self, disk: Disk, *, off: bool) -> BackupScratch:
        """Begin a copy: a job where the guest has a process, else at once to its end."""

        def place(connection: libvirt.virConnect) -> str:
            backup_job.require_idle(connection, self.guest)
            return scratch_volume.choose_pool(connection, disk)

        facts = {"target": str(self.target), "stage": Stage.COPYING, "attempt": volume_sidecar.attempt()}
        sidecar = volume_sidecar.of_disk(
            self.guest, Role.BACKUP, self.session.ref, self.session.owner, **facts
        )
        wanted = BackupScratch(self._ask(place), scratch_volume.name_of(self.guest), sidecar)
        empty = self._ask(wanted.write, changes=True)
        if off:
            consistent = self._watched("copy", lambda c: backup_job.clone(c, self.guest, disk, empty))
            return self._complete(empty, consistent=consistent)
        limit_s = self.session.settings.timeout_s + 2 * freezing.FREEZE_S
        return self._ask(
            lambda connection: backup_job.begin(connection, self.guest, disk, empty),
            changes=True,
            limit_s=limit_s,
        )

    # going on

    def _watch(self, begun: BackupScratch) -> BackupScratch:
        """Report until the job is over; return the scratch volume, complete. Raises BackupFailed."""
        while True:
            seen = self.session.see(VERB, lambda c: backup_job.statistics(c, self.guest, begun))
            if isinstance(seen, Ended):
                break
            self.copy = job.progress(seen)
            self._report()
            clock.sleep(POLL_S)
        if seen.reason:
            raise BackupFailed(reason=seen.reason)
        return self._complete(begun, consistent=begun.sidecar.consistent)

    def _complete(self, copy: BackupScratch, *, consistent: bool) -> BackupScratch:
        """Write into the sidecar that the copy is complete; never from a thread that may have been left behind."""

        def write(connection: libvirt.virConnect) -> BackupScratch:
            copy.require(connection)
            return copy.write(connection, stage=Stage.COMPLETE, consistent=consistent)

        return self._ask(write, changes=True)

    def _fetch(self, complete: BackupScratch) -> str:
        """Bring the scratch volume here; return its SHA-256."""

        def path(connection: libvirt.virConnect) -> str:
            volume = complete.volume(connection)
            if volume is None:
                raise BackupFailed(reason="the copy is gone from its storage pool")
            return str(volume.path())

        fetch = Fetch(self._ask(path), self.target)

        def report() -> None:
            self.fetch_bytes, self.fetched = fetch.total or self.fetch_bytes, fetch.done
            self._report()

        try:
            sha256 = watched(
                self.session, f"fetch of {self.guest.name}", self._way, fetch.run, report, changes=True
            )
        except BaseException:
            fetch.stop.set()
            raise
        report()
        return sha256

    def _definition(self, connection: libvirt.virConnect) -> str:
        return redefining.saved_definition(connection.lookupByUUIDString(str(self.guest.uuid)))

    def _remove(self, complete: BackupScratch) -> None:
        def remove(connection: libvirt.virConnect) -> None:
            complete.require(connection)
            scratch_volume.remove(connection, complete)

        self._ask(remove, changes=True)

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

    def _way(self) -> AbstractContextManager[libvirt.virConnect]:
        return own_connection(self.session.ref.uri)

    def _watched(self, verb: str, work: Callable[[libvirt.virConnect], T]) -> T:
        name = f"{verb} of {self.guest.name}"
        return watched(self.session, name, self._way, work, self._report, changes=True)

    def _ask(
        self,
        question: Callable[[libvirt.virConnect], T],
        *,
        changes: bool = False,
        limit_s: float | None = None,
    ) -> T:
        return self.session.ask(VERB, question, changes=changes, limit_s=limit_s)
