"""Faults and holds that somebody has set: a verb refuses, fails when it is done, hangs, or loses its host."""

from __future__ import annotations

import builtins
import json
import sqlite3
from abc import ABC
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from servers import clock, errors
from servers.drivers.base import ABILITIES, Driver, HostRef
from servers.drivers.simulated import outages
from servers.drivers.simulated.jobs import truth
from servers.drivers.simulated.store import insert, seconds

POLL_S = 0.5

NOVA_VERBS = {
    "LiveMigration.check_destination": "check_can_live_migrate_destination",
    "LiveMigration.check_source": "check_can_live_migrate_source",
    "LiveMigration.prepare": "pre_live_migration",
    "LiveMigration.move": "live_migration",
    "LiveMigration.clean_source": "post_live_migration",
    "LiveMigration.discard": "rollback_live_migration",
    "LiveMigration.abort": "live_migration_abort",
    "LiveMigration.force_complete": "live_migration_force_complete",
    "ColdMigration.move_disk_and_power_off": "migrate_disk_and_power_off",
    "ColdMigration.finish": "finish_migration",
    "ColdMigration.confirm": "confirm_migration",
    "ColdMigration.discard": "revert",
    "ColdMigration.finish_revert": "finish_revert_migration",
    "Backup.discard": "discard_backup",
    "Restore.make": "restore",
    "Restore.discard": "discard_restore",
}
"""What Nova calls a verb of `drivers/base.py`, where that differs, or where two abilities have a verb of one name."""
PROMISES: tuple[type[ABC], ...] = (Driver, *ABILITIES.values())
VERBS = frozenset(
    NOVA_VERBS.get(f"{kind.__name__}.{verb}", verb) for kind in PROMISES for verb in kind.__abstractmethods__
)
"""Every verb that a fault can be set for."""


class FaultMode(StrEnum):
    """REFUSE: no effect. FAIL_AFTER: the effect, then the error. HANG, HANG_AFTER: the same without an answer."""

    REFUSE = "refuse"
    FAIL_AFTER = "fail_after"
    HANG = "hang"
    HANG_AFTER = "hang_after"
    LOSE = "lose"


@dataclass(frozen=True)
class SetFault:
    """A fault that was taken for one call."""

    mode: FaultMode
    error: str
    args: Mapping[str, Any]
    hang_limit_s: float

    def strike(self, verb: str, host: HostRef) -> None:
        """Raise the error, or hang until the limit is reached. Raises HypervisorTimeout then."""
        if self.mode not in {FaultMode.HANG, FaultMode.HANG_AFTER}:
            raise make_error(self.error, self.args)
        until = seconds() + self.hang_limit_s
        while seconds() < until:
            clock.sleep(POLL_S)
        raise errors.HypervisorTimeout(host=host.name, verb=verb, limit_s=f"{self.hang_limit_s:g}")


def make_error(name: str, args: Mapping[str, Any]) -> Exception:
    """Return an error by Nova's name for it, ours, or Python's. Raises ValueError where nobody knows it."""
    if name == "InstanceFaultRollback":  # Nova's wrapper: the driver has undone its own work
        return errors.DiskMoveRolledBack(str(make_error(args["inner"]["error"], args["inner"]["args"])))
    ours = {nova: cls.__name__ for cls, nova in errors.NOVA_NAMES.items()}.get(name, name)
    found = getattr(errors, ours, None)
    if isinstance(found, type) and issubclass(found, errors.Fault):
        return found(**args)
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found(*args.values())
    raise ValueError(f"no fault is called {name}")


def set_fault(
    db: sqlite3.Connection,
    verb: str,
    host: str | None,
    mode: FaultMode,
    error: str,
    args: Mapping[str, Any],
    times: int | None,
    hang_limit_s: float,
) -> None:
    """Let a verb go wrong on a host (None: on every host), `times` times (None: always)."""
    if verb not in VERBS:
        raise ValueError(f"no verb is called {verb}")
    make_error(error, args)
    row = {
        "verb": verb,
        "host": host,
        "mode": mode,
        "error": error,
        "args": json.dumps(dict(args)),
        "times": times,
        "hang_limit_s": hang_limit_s,
    }
    insert(db, "fault", row)


def take(db: sqlite3.Connection, verb: str, host: str) -> SetFault | None:
    """Return the oldest fault that is set for this call, and count it down."""
    found = db.execute(
        "SELECT * FROM fault WHERE verb = ? AND (host = ? OR host IS NULL) ORDER BY id LIMIT 1", (verb, host)
    ).fetchone()
    if found is None:
        return None
    db.execute("UPDATE fault SET times = times - 1 WHERE id = ?", (found["id"],))
    db.execute("DELETE FROM fault WHERE times <= 0")
    return SetFault(
        FaultMode(found["mode"]), found["error"], json.loads(found["args"]), found["hang_limit_s"]
    )


def held_until(db: sqlite3.Connection, verb: str, host: str) -> tuple[str, ...]:
    """Return by what alone the verb may end on this host; empty where nobody holds it."""
    found = db.execute("SELECT until FROM hold WHERE verb = ? AND host = ?", (verb, host)).fetchone()
    return tuple(json.loads(found["until"])) if found else ()


@contextmanager
def asked(path: Path, verb: str, host: HostRef) -> Iterator[None]:
    """Ask a verb of a host: refused where the host is lost; what was set for it strikes before or after."""
    name = outages.store_name(host)
    with truth(path) as db:
        outages.row(db, name)
        fault = take(db, verb, name)
        if fault is not None and fault.mode is FaultMode.LOSE:
            outages.lose(db, name, seconds())
    if fault is not None and fault.mode is FaultMode.LOSE:
        raise errors.HypervisorUnavailable
    if fault is not None and fault.mode in {FaultMode.REFUSE, FaultMode.HANG}:
        fault.strike(verb, host)
    yield
    if fault is not None:
        fault.strike(verb, host)
