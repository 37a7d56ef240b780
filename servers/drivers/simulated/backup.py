"""Copying the root disk of a simulated guest to a file while it runs."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from servers.drivers.base import Backup, Guest, JobKind, OnProgress, Snapshot
from servers.drivers.simulated import disks, guests, jobs, outages
from servers.drivers.simulated.copying import DiskCopy, Outcome
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.store import seconds
from servers.errors import BackupFailed

MOST_BYTES = 1024 * 1024
LEAST_BYTES = 512
DISK_FORMAT = "raw"


def pattern(content: str, size_bytes: int) -> Iterator[bytes]:
    """Yield the bytes that stand for a disk's content: the same for the same content, others for another."""
    block = hashlib.sha256(content.encode()).digest() * 128
    for start in range(0, size_bytes, len(block)):
        yield block[: size_bytes - start]


def write_pattern(target: Path, content: str, size_bytes: int) -> str:
    """Write the pattern to a file; return its sha256."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for block in pattern(content, size_bytes):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


class SimulatedBackup(HostSession, Backup):
    """The copy holds the disk as it was when the copy began, with at most 1 MiB of real bytes."""

    def snapshot(self, guest: Guest, target: str, on_progress: OnProgress) -> Snapshot:
        with self.asked("snapshot"):
            with self.truth() as db:
                job = self._begin(db, guest, target)
            job = self.watch(job, on_progress)
            if job.outcome is not Outcome.DONE:
                raise BackupFailed(reason=job.reason)
            try:
                sha256 = write_pattern(Path(target), job.facts["content"], job.facts["size_bytes"])
            except OSError as error:
                raise BackupFailed(reason=f"{target} cannot be written: {error.strerror}") from error
            with self.truth() as db:
                jobs.note(db, job, seen=True)
            definition = json.dumps({"content": job.facts["content"], "agent": job.facts["agent"]})
            return Snapshot(job.facts["size_bytes"], DISK_FORMAT, sha256, job.facts["consistent"], definition)

    def discard(self, guest: Guest) -> None:
        with self.asked("discard_backup"), self.truth() as db:
            last = self._newest(db, guest)
            if last is not None and last.outcome is Outcome.RUNNING:
                self.check_owner(last.owner, guest)
                self.fence.prove()
                jobs.fail(db, last, "it was given up", at=seconds())

    def _begin(self, db: sqlite3.Connection, guest: Guest, target: str) -> Job:
        """Return the copy to this file: the one that runs, the one that ended unseen, or a new one."""
        here = guests.defined(db, self.name, guest)
        root = next(iter(disks.rows(db, self.name, str(guest.uuid))), None)
        if root is None:
            raise BackupFailed(reason="the guest has no disk of its own")
        last = self._newest(db, guest)
        if last is not None and last.target == target and last.outcome in {Outcome.RUNNING, Outcome.DONE}:
            return last
        if last is not None and last.outcome is Outcome.RUNNING:
            self.check_owner(last.owner, guest)
            self.fence.prove()
            jobs.fail(db, last, "a backup to another file has taken its place", at=seconds())
        elif jobs.running(db, guest.uuid) is not None:
            raise BackupFailed(reason="another job runs for the guest")
        plan = DiskCopy(seconds(), root["used_bytes"], outages.row(db, self.name)["disk_bytes_s"])
        size = max(min(root["used_bytes"], MOST_BYTES), LEAST_BYTES)
        consistent = not guests.is_alive(here) or guests.agent_answers(here, seconds())
        facts = {
            "content": root["content"],
            "size_bytes": size,
            "consistent": consistent,
            "agent": here["agent"],
        }
        self.fence.prove()
        return jobs.begin(
            db,
            JobKind.BACKUP,
            guest,
            self.name,
            plan,
            owner=str(self.fence.owner),
            target=target,
            facts=facts,
        )

    def _newest(self, db: sqlite3.Connection, guest: Guest) -> Job | None:
        """Return the guest's newest backup here, unless its end was seen by the one who had asked for it."""
        last = jobs.newest(db, JobKind.BACKUP, guest.uuid, self.name, "")
        return None if last is None or last.facts.get("seen") else last
