"""Where the simulated fleet keeps its truth: one SQLite file of its own, shared by all processes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from servers import clock
from servers.errors import HypervisorUnavailable

BUSY_TIMEOUT_S = 20.0

NICS = """
CREATE TABLE IF NOT EXISTS nic (  -- of the guest's definition, which is the same on every host that has it
    guest TEXT NOT NULL, position INTEGER NOT NULL, mac TEXT NOT NULL, network TEXT NOT NULL,
    PRIMARY KEY (guest, position)
);
"""
"""Younger than stores that somebody may have kept."""

OWNERS = """
ALTER TABLE guest ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE guest ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE disk ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT '';
"""
"""To which move or backup something belongs."""

IDENTITY = """
CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
INSERT OR IGNORE INTO identity (one, value) VALUES (1, lower(hex(randomblob(16))));
"""
"""Which store it is, on whatever path a machine has it."""

WITHOUT_OWNERS = """
UPDATE job SET owner = '*';
UPDATE guest SET owner = '*', role = 'prepared' WHERE prepared_only = 1;
UPDATE guest SET owner = '*', role = 'leaving' WHERE EXISTS (SELECT 1 FROM job WHERE job.guest = guest.uuid
    AND job.source = guest.host AND kind = 'disk_move' AND outcome IN ('running', 'done'))
    AND power_state NOT IN (1, 3);
UPDATE guest SET owner = '*', role = 'arrived' WHERE EXISTS (SELECT 1 FROM job WHERE job.guest = guest.uuid
    AND job.destination = guest.host AND kind = 'disk_move' AND outcome = 'done')
    AND EXISTS (SELECT 1 FROM guest AS other WHERE other.uuid = guest.uuid AND other.role = 'leaving');
UPDATE disk SET owner = '*' WHERE NOT EXISTS (SELECT 1 FROM guest WHERE guest.host = disk.host
    AND guest.uuid = disk.guest);
"""
"""What a store of an earlier version has belongs to anybody who goes on with it."""

SCHEMA = """
CREATE TABLE host (
    name TEXT PRIMARY KEY, hypervisor_type TEXT NOT NULL, version INTEGER NOT NULL, vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL, disk_gb INTEGER NOT NULL, cpu_model TEXT NOT NULL,
    bandwidth_bytes_s INTEGER NOT NULL, disk_bytes_s INTEGER NOT NULL, lost_at REAL
);
CREATE TABLE pool (
    host TEXT NOT NULL, name TEXT NOT NULL, identity TEXT NOT NULL, shared INTEGER NOT NULL,
    capacity_bytes INTEGER NOT NULL, place TEXT NOT NULL, PRIMARY KEY (host, name)
);
CREATE TABLE volume (  -- a disk image; hosts that share the place see the same one
    place TEXT NOT NULL, path TEXT NOT NULL, size_bytes INTEGER NOT NULL, used_bytes INTEGER NOT NULL,
    format TEXT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (place, path)
);
CREATE TABLE disk (  -- a volume as a disk of a guest on a host
    host TEXT NOT NULL, guest TEXT NOT NULL, position INTEGER NOT NULL, device TEXT NOT NULL,
    pool TEXT NOT NULL, place TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (host, guest, device)
);
CREATE TABLE guest (
    host TEXT NOT NULL, uuid TEXT NOT NULL, name TEXT NOT NULL, vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL, power_state INTEGER NOT NULL, prepared_only INTEGER NOT NULL DEFAULT 0,
    dirty_rate_bytes_s INTEGER NOT NULL DEFAULT 0, boots INTEGER NOT NULL DEFAULT 0,
    run_s REAL NOT NULL DEFAULT 0, running_since REAL,
    agent TEXT NOT NULL DEFAULT 'none', agent_boot_s REAL NOT NULL DEFAULT 0, agent_ready_at REAL,
    nics TEXT NOT NULL DEFAULT '[]', network_resets INTEGER NOT NULL DEFAULT 0,
    password_sets INTEGER NOT NULL DEFAULT 0, password_sha256 TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (host, uuid)
);
CREATE UNIQUE INDEX guest_runs_once ON guest (uuid) WHERE power_state IN (1, 3);
CREATE TABLE job (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, guest TEXT NOT NULL, source TEXT NOT NULL,
    destination TEXT NOT NULL DEFAULT '', destination_name TEXT NOT NULL DEFAULT '',
    target TEXT NOT NULL DEFAULT '', plan TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{}',
    outcome TEXT NOT NULL DEFAULT 'running', reason TEXT NOT NULL DEFAULT '',
    due_at REAL, paused_at REAL, ended_at REAL, switched INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX one_job_at_a_time ON job (guest) WHERE outcome = 'running';
CREATE INDEX job_due ON job (due_at) WHERE outcome = 'running';
CREATE TABLE fault (
    id INTEGER PRIMARY KEY, verb TEXT NOT NULL, host TEXT, mode TEXT NOT NULL, error TEXT NOT NULL,
    args TEXT NOT NULL, times INTEGER, hang_limit_s REAL NOT NULL
);
CREATE TABLE hold (verb TEXT NOT NULL, host TEXT NOT NULL, until TEXT NOT NULL, PRIMARY KEY (verb, host));
"""


def seconds() -> float:
    """Return the time by the clock in use, in seconds since 1970, as the store keeps it."""
    return clock.now().timestamp()


def create(path: Path) -> None:
    """Make the store where there is none.

    It is made beside `path` and then linked to it, so that several processes may try at once: one wins.
    """
    if path.exists():
        _complete(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(draft)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA + NICS + OWNERS + IDENTITY)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


def identity(path: Path) -> str | None:
    """Return which store it is, None when there is none."""
    if not path.exists():
        return None
    _complete(path)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as db:
        (found,) = db.execute("SELECT value FROM identity").fetchone()
    return str(found)


def known_hosts(path: Path) -> frozenset[str]:
    """Return the names of the hosts that a store has; none where there is no store."""
    if not path.exists():
        return frozenset()
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as db:
        return frozenset(name for (name,) in db.execute("SELECT name FROM host"))


@cache
def _complete(path: Path) -> None:
    """Give a store of an earlier version the tables and columns that it lacks."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
        db.executescript(NICS + IDENTITY)
        db.execute("BEGIN IMMEDIATE")
        columns = {row[1] for row in db.execute("PRAGMA table_info(guest)")}
        if "owner" not in columns:
            for statement in (OWNERS + WITHOUT_OWNERS).split(";"):
                db.execute(statement)
        db.execute("COMMIT")


@contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """Open one writing transaction: all of the block is kept, or nothing where it raises."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = OFF")  # outlives a killed process, if not a power cut; 3× faster
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise HypervisorUnavailable(f"The store of the simulated fleet does not answer: {error}") from error


def insert(db: sqlite3.Connection, table: str, row: Mapping[str, object], *, otherwise: str = "ABORT") -> int:
    """Add a row, and return its number; `otherwise` is what SQLite does where it is there already."""
    placeholders = ", ".join("?" * len(row))
    added = db.execute(
        f"INSERT OR {otherwise} INTO {table} ({', '.join(row)}) VALUES ({placeholders})", tuple(row.values())
    )
    return int(added.lastrowid or 0)
