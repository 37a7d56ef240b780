"""Jobs in the store. Each is a function of time: whoever looks first after its time commits its effect."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any
from uuid import UUID

from servers.drivers.base import Guest, JobKind
from servers.drivers.simulated import disks, guests
from servers.drivers.simulated.copying import DiskCopy, Outcome
from servers.drivers.simulated.live_copy import LiveCopy
from servers.drivers.simulated.store import insert, seconds, transaction
from servers.errors import GuestOnTwoHosts
from servers.states import PowerState


@dataclass(frozen=True)
class Job:
    """A row of the store: what is copied from where to where, and how it stands."""

    id: int
    kind: JobKind
    guest: str
    source: str
    destination: str
    target: str
    plan: LiveCopy | DiskCopy
    facts: dict[str, Any]
    outcome: Outcome
    reason: str
    switched: bool
    owner: str


@contextmanager
def truth(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a transaction in which all that is due has happened."""
    with transaction(path) as db:
        advance(db, seconds())
        yield db


def begin(
    db: sqlite3.Connection,
    kind: JobKind,
    guest: Guest,
    source: str,
    plan: LiveCopy | DiskCopy,
    *,
    owner: str,
    destination: str = "",
    destination_name: str = "",
    target: str = "",
    facts: dict[str, Any] | None = None,
) -> Job:
    """Start a job; it goes on by itself. The guest must have none."""
    row = {
        "kind": kind,
        "guest": str(guest.uuid),
        "source": source,
        "destination": destination,
        "destination_name": destination_name,
        "target": target,
        "plan": "",
        "facts": json.dumps(facts or {}),
        "owner": owner,
    }
    number = insert(db, "job", row)
    replan(db, number, plan)
    return read(db, number)


def replan(db: sqlite3.Connection, number: int, plan: LiveCopy | DiskCopy) -> None:
    """Store the plan of a job that has not switched over, and when somebody has to look at it."""
    fate = plan.fate
    due_at = min(fate.ended_at, fate.switched_at)
    db.execute(
        "UPDATE job SET plan = ?, due_at = ?, paused_at = ? WHERE id = ?",
        (json.dumps(asdict(plan)), _or_none(due_at), _or_none(fate.paused_at), number),
    )


def _or_none(at: float) -> float | None:
    return None if at == inf else at


def read(db: sqlite3.Connection, number: int) -> Job:
    """Return a job by its number."""
    return _job(db.execute("SELECT * FROM job WHERE id = ?", (number,)).fetchone())


def _job(found: sqlite3.Row) -> Job:
    kind = JobKind(found["kind"])
    plan = json.loads(found["plan"])
    copy: LiveCopy | DiskCopy
    if kind is JobKind.LIVE_MIGRATION:
        copy = LiveCopy(**{**plan, "held_until": tuple(plan["held_until"])})
    else:
        copy = DiskCopy(**plan)
    return Job(
        id=found["id"],
        kind=kind,
        guest=found["guest"],
        source=found["source"],
        destination=found["destination"],
        target=found["target"],
        plan=copy,
        facts=json.loads(found["facts"]),
        outcome=Outcome(found["outcome"]),
        reason=found["reason"],
        switched=bool(found["switched"]),
        owner=found["owner"],
    )


def running(db: sqlite3.Connection, uuid: UUID | str) -> Job | None:
    """Return the job that runs for the guest, or None."""
    found = db.execute("SELECT * FROM job WHERE guest = ? AND outcome = 'running'", (str(uuid),)).fetchone()
    return _job(found) if found else None


def newest(db: sqlite3.Connection, kind: JobKind, uuid: UUID, source: str, destination: str) -> Job | None:
    """Return the newest job of this kind between two hosts, running or over, or None."""
    found = db.execute(
        "SELECT * FROM job WHERE kind = ? AND guest = ? AND source = ? AND destination = ?"
        " ORDER BY id DESC LIMIT 1",
        (kind, str(uuid), source, destination),
    ).fetchone()
    return _job(found) if found else None


def touching(db: sqlite3.Connection, host: str) -> list[Job]:
    """Return the jobs that run from or to a host."""
    found = db.execute("SELECT * FROM job WHERE outcome = 'running' AND ? IN (source, destination)", (host,))
    return [_job(r) for r in found.fetchall()]


def advance(db: sqlite3.Connection, now: float) -> None:
    """Commit the effect of each job whose time has come, in the order of their times."""
    while found := db.execute(
        "SELECT * FROM job WHERE outcome = 'running' AND due_at <= ? ORDER BY due_at, id LIMIT 1", (now,)
    ).fetchone():
        job = _job(found)
        fate = job.plan.fate
        if fate.switched_at <= now and not job.switched:
            guests.switch(db, job.source, job.destination, job.guest, fate.paused_at, fate.switched_at)
            db.execute("UPDATE job SET switched = 1, due_at = ? WHERE id = ?", (fate.ended_at, job.id))
        if fate.ended_at <= now:
            if job.kind is JobKind.DISK_MOVE:
                disks.lay(db, job.source, job.destination, job.guest, owner=job.owner)
                disks.fill(db, job.source, job.destination, job.guest)
            close(db, job, fate.outcome, at=fate.ended_at)


def close(db: sqlite3.Connection, job: Job, outcome: Outcome, *, at: float, reason: str = "") -> None:
    """End a job. A guest that stood still for it, and stays, goes on with its memory as it was."""
    if outcome is not Outcome.DONE and at > job.plan.fate.paused_at and not job.switched:
        db.execute(
            "UPDATE guest SET running_since = running_since + ? WHERE host = ? AND uuid = ?",
            (at - job.plan.fate.paused_at, job.source, job.guest),
        )
    db.execute(
        "UPDATE job SET outcome = ?, reason = ?, ended_at = ?, due_at = NULL WHERE id = ?",
        (outcome, reason, at, job.id),
    )
    if outcome is not Outcome.DONE:  # the guest is as it was: it belongs to no move
        db.execute(
            "UPDATE guest SET owner = '', role = '' WHERE host = ? AND uuid = ? AND owner = ?",
            (job.source, job.guest, job.owner),
        )


def note(db: sqlite3.Connection, job: Job, **facts: bool) -> None:
    """Add facts to those of a job."""
    db.execute("UPDATE job SET facts = ? WHERE id = ?", (json.dumps({**job.facts, **facts}), job.id))


def fail(db: sqlite3.Connection, job: Job, reason: str, *, at: float) -> None:
    """Let a running job fail: the guest is at the source as it was, unless post-copy has switched it over."""
    close(db, job, Outcome.FAILED, at=at, reason=reason)
    if job.kind is JobKind.DISK_MOVE:
        disks.drop(db, job.destination, job.guest)
        if job.facts["was_running"]:
            _start_again(db, job, at)


def _start_again(db: sqlite3.Connection, job: Job, at: float) -> None:
    found = guests.row(db, job.source, job.guest)
    if found is None or found["power_state"] != PowerState.SHUTDOWN:
        return
    guest = Guest(UUID(job.guest), found["name"], found["vcpus"], found["memory_mb"])
    try:
        guests.start(db, job.source, guest, at)
    except GuestOnTwoHosts:
        return  # somebody has started it elsewhere: it stays shut down here


def stop(db: sqlite3.Connection, host: str, uuid: UUID, state: PowerState, now: float) -> None:
    """Let a guest stop on this host; a move of it from here has nothing to move any more."""
    job = running(db, uuid)
    live = job is not None and job.kind is JobKind.LIVE_MIGRATION and job.source == host
    if job is not None and live and state not in guests.ALIVE:
        fail(db, job, "the guest has stopped", at=now)
    guests.set_power(db, host, uuid, state, now)
