"""Losing a host and getting it back: its guests freeze, they are not lost."""

from __future__ import annotations

import sqlite3
from urllib.parse import urlsplit

from servers.drivers.base import HostRef
from servers.drivers.simulated import guests, jobs
from servers.errors import HypervisorUnavailable
from servers.states import PowerState


def store_name(ref: HostRef) -> str:
    """Return the name by which the store knows a host: the path of its URI, else its own name."""
    return urlsplit(ref.uri).path.strip("/") or ref.name


def row(db: sqlite3.Connection, host: str) -> sqlite3.Row:
    """Return a host of the store. Raises HypervisorUnavailable where there is none, or it was lost."""
    found: sqlite3.Row | None = db.execute("SELECT * FROM host WHERE name = ?", (host,)).fetchone()
    if found is None or found["lost_at"] is not None:
        raise HypervisorUnavailable
    return found


def is_up(db: sqlite3.Connection, host: str) -> bool:
    """Return whether the host is there and answers."""
    found = db.execute("SELECT 1 FROM host WHERE name = ? AND lost_at IS NULL", (host,)).fetchone()
    return found is not None


def lose(db: sqlite3.Connection, host: str, now: float) -> None:
    """Lose a host. Jobs from it and to it fail, with the guest at the source.

    A guest whose memory is still being fetched from a lost source after post-copy crashes, as with QEMU.
    """
    for job in jobs.touching(db, host):
        jobs.fail(db, job, f"host {host} was lost", at=now)
        if job.switched and job.source == host:
            guests.set_power(db, job.destination, job.guest, PowerState.CRASHED, now)
    db.execute("UPDATE host SET lost_at = ? WHERE name = ? AND lost_at IS NULL", (now, host))
    db.execute(
        "UPDATE guest SET run_s = run_s + ? - running_since, running_since = NULL"
        " WHERE host = ? AND running_since IS NOT NULL",
        (now, host),
    )


def restore(db: sqlite3.Connection, host: str, now: float) -> None:
    """Bring a host back: its guests go on where they stood still."""
    db.execute("UPDATE host SET lost_at = NULL WHERE name = ?", (host,))
    db.execute(
        "UPDATE guest SET running_since = ? WHERE host = ? AND power_state = ? AND running_since IS NULL",
        (now, host, PowerState.RUNNING),
    )
