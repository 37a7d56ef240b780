"""What can be read of the fleet from outside, by tests and by a person: no driver could know as much."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from servers.drivers.base import Guest
from servers.drivers.simulated import disks, guests, jobs, outages
from servers.drivers.simulated.jobs import Job
from servers.drivers.simulated.store import seconds
from servers.errors import GuestNotFound
from servers.states import PowerState


@dataclass(frozen=True)
class AgentState:
    """What has arrived inside a guest. Of the password only the digest of the last one is known."""

    nics: tuple[dict[str, Any], ...]
    network_resets: int
    password_sets: int
    password_sha256: str


class Readings:
    """Questions about the fleet in the store at `path`; lost hosts answer too."""

    path: Path

    def defined_on(self, uuid: UUID) -> list[str]:
        """Return the hosts on which the guest is defined, running or not."""
        with jobs.truth(self.path) as db:
            found = db.execute(
                "SELECT host FROM guest WHERE uuid = ? AND prepared_only = 0 ORDER BY host", (str(uuid),)
            )
            return [r["host"] for r in found.fetchall()]

    def running_on(self, uuid: UUID) -> str | None:
        """Return the host on which the guest has a process (running or paused), or None."""
        with jobs.truth(self.path) as db:
            return guests.alive_on(db, uuid)

    def power_state(self, host: str, uuid: UUID) -> PowerState | None:
        """Return the guest's power state on a host, or None where it is not defined."""
        with jobs.truth(self.path) as db:
            found = guests.row(db, host, uuid)
            return None if found is None or found["prepared_only"] else PowerState(found["power_state"])

    def disk_md5(self, host: str, uuid: UUID, device: str = "") -> str | None:
        """Return the md5 sum of a disk's content (the root disk unless named), or None where there is none."""
        with jobs.truth(self.path) as db:
            for disk in disks.rows(db, host, str(uuid)):
                if device in {"", disk["device"]}:
                    return disks.md5(disk["content"])
            return None

    def heartbeat(self, uuid: UUID) -> int:
        """Return the counter in the running guest's memory: ten a second, lost with its memory; 0 when it is off."""
        with jobs.truth(self.path) as db:
            host = guests.alive_on(db, uuid)
            found = None if host is None else guests.row(db, host, uuid)
            return 0 if found is None else guests.heartbeat(db, found, seconds())

    def boots(self, host: str, uuid: UUID) -> int:
        """Return how often the guest was started."""
        with jobs.truth(self.path) as db:
            found = guests.row(db, host, uuid)
            return 0 if found is None else int(found["boots"])

    def agent_state(self, host: str, uuid: UUID) -> AgentState:
        """Return what has arrived inside the guest. Raises GuestNotFound."""
        with jobs.truth(self.path) as db:
            found = guests.row(db, host, uuid)
            if found is None:
                raise GuestNotFound(guest=uuid, host=host)
            return AgentState(
                nics=tuple(json.loads(found["nics"])),
                network_resets=found["network_resets"],
                password_sets=found["password_sets"],
                password_sha256=found["password_sha256"],
            )

    def job_of(self, guest: Guest) -> Job | None:
        """Return the job that runs for the guest, or None."""
        with jobs.truth(self.path) as db:
            return jobs.running(db, guest.uuid)

    def is_lost(self, host: str) -> bool:
        """Return whether the host does not answer."""
        with jobs.truth(self.path) as db:
            return not outages.is_up(db, host)
