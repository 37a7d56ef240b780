"""Whether Gantry can do its work: a table of checks, asked within a few seconds whatever the database does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min

from servers import clock
from servers.database_age import arrears, strangeness
from servers.deployment.members import differing
from servers.deployment.standing import STANDING, Work
from servers.engine.execution.choice import due
from servers.engine.execution.workers import SILENT, is_alive, worker_health
from servers.models import Worker
from servers.monitoring.database import within
from servers.states import QueueClass

log = structlog.get_logger(__name__)

RULE = "gantry:health"
LIMIT_S = 3.0
"""How long the checks may take, together."""
HELD_S = 1.0
"""For how long an answer is given to everybody who asks: nobody can make the database work by asking."""
NO_WORKER = f"no worker was heard of for {SILENT.total_seconds():g} s"

Figure = float | int | str | None


@dataclass(frozen=True)
class Finding:
    """What a check has found: the reason why it is not well, empty when it is, and figures."""

    reason: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """Something without which Gantry cannot do its work."""

    name: str
    ask: Callable[[], Finding]


@dataclass(frozen=True)
class Health:
    """What each check has found, by name and in order; one that could not be asked is not well."""

    findings: Mapping[str, Finding]

    @property
    def reasons(self) -> dict[str, str]:
        """Return why it is not well, by the name of the check."""
        return {name: found.reason for name, found in self.findings.items() if found.reason}

    @property
    def is_ready(self) -> bool:
        """Return whether every check is well."""
        return not self.reasons


# ------------------------------------------------------------------------------------------- checks


def check_database() -> Finding:
    """Ask the database something that it need not look up."""
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Finding(figures={"answer_s": round(time.monotonic() - began, 4)})


_fitting: list[frozenset[tuple[str, str]] | None] = [None]
"""The migrations that the database had when it was last found to fit, None before that."""


def check_migrations() -> Finding:
    """Look whether code and database belong together; whole only when the database has changed since."""
    applied = frozenset(MigrationRecorder(connection).applied_migrations())
    if applied != _fitting[0]:
        reason = strangeness() or arrears()
        if reason:
            return Finding(reason)
        _fitting[0] = applied
    return Finding(figures={"applied": len(applied)})


def check_deployment() -> Finding:
    """Look whether this process agrees with the deployment, by what it has found last, and how many differ."""
    return Finding(STANDING.refuses(Work.IMAGES) or "", {"members_that_differ": sum(differing().values())})


def check_workers() -> Finding:
    """Look whether a supervisor of worker processes was heard of lately."""
    found = worker_health()
    seen_at = found.seen_at.isoformat() if found.seen_at else None
    figures = {"processes": found.processes, "seen_at": seen_at}
    return Finding("" if found.is_up else NO_WORKER, figures)


def check_queue() -> Finding:
    """Look for how long the oldest action has waited that is due, and that nobody has begun.

    It waits for a worker only since there is one. Backups may do so all night.
    """
    age_s = round(queue_age_s(), 3)
    limit_s = settings.QUEUE_AGE_LIMIT_S
    late = (
        f"an action waits for a worker for {age_s:.0f} s, longer than {limit_s:g} s"
        if age_s > limit_s
        else ""
    )
    return Finding(late, {"oldest_s": age_s, "limit_s": limit_s})


def queue_age_s() -> float:
    """Return for how many seconds the oldest due action that cannot wait has waited for a living worker."""
    prompt = due().order_by().exclude(queue_class=QueueClass.BACKUPS)
    oldest = prompt.aggregate(at=Min("due_at"))["at"]
    since = min((worker.started_at for worker in Worker.objects.all() if is_alive(worker)), default=None)
    if oldest is None or since is None:
        return 0.0
    return float(max((clock.now() - max(oldest, since)).total_seconds(), 0.0))


CHECKS = (
    Check("database", check_database),
    Check("migrations", check_migrations),
    Check("deployment", check_deployment),
    Check("workers", check_workers),
    Check("queue", check_queue),
)
"""In this order: after the first that meets a database which is away, the others are not asked."""

# ------------------------------------------------------------------------------------------ answers


def examine(checks: tuple[Check, ...] | None = None) -> Health:
    """Ask every check, here and now."""
    findings: dict[str, Finding] = {}
    away = ""
    for check in CHECKS if checks is None else checks:
        try:
            findings[check.name] = Finding(f"not asked: {away}") if away else check.ask()
        except DatabaseFault as error:
            away = str(error) or type(error).__name__
            findings[check.name] = Finding(away)
        except Exception as error:
            log.error("health.unforeseen", check=check.name, exc_info=error)
            findings[check.name] = Finding(str(error) or type(error).__name__)
    return Health(findings)


class Held:
    """The last answer, given for HELD_S seconds; who comes while it is looked for waits for the same one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.health = Health({})
        self.until = 0.0

    def get(self) -> Health:
        """Return the last answer, or a new one; see `current`."""
        with self.lock:
            if time.monotonic() >= self.until:
                before, self.health = self.health, _look()
                self.until = time.monotonic() + HELD_S
                if self.health.reasons.keys() != before.reasons.keys():
                    log.warning("health.changed", ready=self.health.is_ready, **self.health.reasons)
            return self.health


def _look() -> Health:
    try:
        return within(LIMIT_S, "health", examine)
    except DatabaseFault as error:
        return Health({check.name: Finding(str(error)) for check in CHECKS})


HELD = Held()
"""The one of this process."""


def current() -> Health:
    """Return the health of this deployment, HELD_S seconds old at most, in at most LIMIT_S seconds."""
    return HELD.get()
