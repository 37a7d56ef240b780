"""Faults and holds that somebody has set: a verb refuses, fails when it is done, hangs, or loses its host."""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from servers import clock, errors
from servers.drivers.base import HostRef
from servers.drivers.simulated import outages
from servers.drivers.simulated.jobs import truth
from servers.drivers.simulated.store import insert, seconds

POLL_S = 0.5

VERBS = frozenset(
    {
        "describe",
        "find_guest",
        "list_guests",
        "check_can_live_migrate_destination",
        "check_can_live_migrate_source",
        "pre_live_migration",  # prepare
        "live_migration",  # move
        "post_live_migration",  # clean_source
        "rollback_live_migration",  # LiveMigration.discard
        "live_migration_abort",
        "live_migration_force_complete",
        "migrate_disk_and_power_off",
        "finish_migration",  # finish
        "confirm_migration",  # confirm
        "revert",  # ColdMigration.discard
        "finish_revert_migration",  # finish_revert
        "power_off",
        "snapshot",
        "discard_backup",  # Backup.discard
        "restore",  # make
        "discard_restore",  # Restore.discard
        "inject_network_info",
        "reset_network",
        "set_admin_password",
        "disown",
    }
)
"""The verbs by the names that Nova gives them; behind each its name in `drivers/base.py` where that differs."""


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
