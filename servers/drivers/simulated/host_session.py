"""What the abilities of a simulated host share: the store, the host they speak for, and how to watch a job."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from servers import clock
from servers.drivers.base import LOOKING, Fence, Guest, HostRef, OnProgress
from servers.drivers.simulated import faults, jobs, outages, owners
from servers.drivers.simulated.copying import Outcome
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.store import seconds

log = structlog.get_logger(__name__)


class HostSession:
    """A session with one host of the simulated fleet. `name` is the host's name in the store."""

    def __init__(self, path: Path, host: HostRef, fence: Fence = LOOKING) -> None:
        self.path = path
        self.ref = host
        self.fence = fence
        self.name = outages.store_name(host)

    def asked(self, verb: str) -> AbstractContextManager[None]:
        """Ask a verb of this host, with the faults that were set for it."""
        log.debug("driver.call", verb=verb, host=self.ref.name)
        return faults.asked(self.path, verb, self.ref)

    def check_owner(self, owner: str, guest: Guest) -> None:
        """Raise BelongsToAnother for what has an owner who is not the one who asks."""
        owners.check(owner, self.fence, self.ref, guest)

    def truth(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a transaction in which all that is due has happened."""
        return jobs.truth(self.path)

    def watch(self, job: Job, on_progress: OnProgress) -> Job:
        """Return the job when it is over; it goes on by itself, whoever watches.

        Raises HypervisorUnavailable when this host is lost meanwhile.
        """
        while True:
            with self.truth() as db:
                outages.row(db, self.name)
                job = jobs.read(db, job.id)
            if job.outcome in {Outcome.RUNNING, Outcome.DONE}:
                on_progress(job.plan.progress(seconds()))
            if job.outcome is not Outcome.RUNNING:
                return job
            clock.sleep(faults.POLL_S)
