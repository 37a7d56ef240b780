"""Who works on an action: one worker at a time, proven by a fencing token.

The claim is the one conditional UPDATE that passes the state machine by: it must be a single statement to be
decided by the database. Every later write of a worker happens inside `fenced`, which reads the action again
under lock and refuses when the token has moved on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from servers import clock
from servers.actions import definitions
from servers.errors import LeaseLost
from servers.models import ActionRecord, Server
from servers.states import HELD_ACTION_STATUSES, ActionStatus

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Lease:
    """The right to work on an action. `attempt` is the fencing token."""

    action: UUID
    attempt: int
    worker: str


def claimable() -> Q:
    """Return the condition for an action that may be claimed at this moment: due and held by nobody."""
    now = clock.now()
    waiting = Q(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN], due_at__lte=now)
    return waiting | Q(status=ActionStatus.RUNNING, lease_until__lt=now)


def has_its_turn() -> Q:
    """Return the condition for an action before which no other exclusive one of its server has to be done."""
    others = ActionRecord.objects.filter(server=OuterRef("server"), exclusive=True).exclude(pk=OuterRef("pk"))
    held = others.filter(status__in=HELD_ACTION_STATUSES)
    earlier = others.filter(status=ActionStatus.QUEUED, created_at__lt=OuterRef("created_at"))
    mine = Q(status__in=HELD_ACTION_STATUSES)
    return Q(exclusive=False) | ((mine | ~Exists(earlier)) & ~Exists(held))


def known_definitions() -> Q:
    """Return the condition for actions whose definition this process has, in the same version."""
    known = Q(pk__in=[])
    for slug, action in definitions.items():
        known |= Q(slug=slug, definition=action.version)
    return known


def claim(action: UUID, worker: str) -> Lease | None:
    """Return the lease, or None when the action is not due, held by somebody, or has to wait its turn."""
    now = clock.now()
    candidates = ActionRecord.objects.filter(claimable(), known_definitions(), has_its_turn(), pk=action)
    if not candidates.exists():
        return None
    try:
        with transaction.atomic():
            rows = ActionRecord.objects.filter(claimable(), pk=action).update(
                status=ActionStatus.RUNNING,
                attempt=F("attempt") + 1,
                worker=worker,
                lease_until=now + timedelta(seconds=settings.LEASE_TTL_S),
                started_at=Coalesce("started_at", now),
                updated_at=now,
            )
            if rows != 1:
                return None
            attempt = ActionRecord.objects.values_list("attempt", flat=True).get(pk=action)
    except IntegrityError:  # one_exclusive_action_per_server: another one was quicker
        return None
    return Lease(action, attempt, worker)


@contextmanager
def fenced(lease: Lease) -> Iterator[ActionRecord]:
    """Open a transaction with the action's row locked. Raises LeaseLost when somebody else has it now.

    The server's row is locked first, as the doors do it: whoever writes takes server, action, migration and
    image in this order, or two of them could wait for each other.
    """
    with transaction.atomic():
        of_action = ActionRecord.objects.filter(pk=lease.action).values("server")
        Server.objects.select_for_update().values_list("pk").get(pk__in=of_action)
        row = ActionRecord.objects.select_for_update().get(pk=lease.action)
        if row.attempt != lease.attempt or row.status != ActionStatus.RUNNING:
            raise LeaseLost
        yield row


def renew(lease: Lease) -> bool:
    """Hold the lease for another while; return False when it was lost."""
    now = clock.now()
    rows = ActionRecord.objects.filter(
        pk=lease.action, attempt=lease.attempt, status=ActionStatus.RUNNING
    ).update(lease_until=now + timedelta(seconds=settings.LEASE_TTL_S))
    return rows == 1


def lose_sight(lease: Lease, reason: str) -> bool:
    """Give the action up as unknown: its hypervisor is asked again later. Return False when the lease was lost."""
    now = clock.now()
    rows = ActionRecord.objects.filter(
        pk=lease.action, attempt=lease.attempt, status=ActionStatus.RUNNING
    ).update(
        status=ActionStatus.UNKNOWN,
        lease_until=None,
        due_at=now + timedelta(seconds=settings.UNKNOWN_RETRY_S),
        error_text=reason,
        updated_at=now,
    )
    return rows == 1


def end_process() -> None:
    """End this worker process: a driver call in it hangs and cannot be stopped otherwise."""
    os._exit(75)


class Heartbeat(threading.Thread):
    """Renews a lease while its worker works, and gives the action up when the work makes no progress.

    A call that hangs must not be healthy for ever: past the limit the outcome is unknown, and since a thread
    cannot be stopped from outside, `on_hang` ends the process (its supervisor starts another one).
    """

    def __init__(self, lease: Lease, on_hang: Callable[[], None] = end_process) -> None:
        super().__init__(name=f"lease of {lease.action}", daemon=True)
        self.lease = lease
        self.on_hang = on_hang
        self.interval_s = min(1.0, settings.LEASE_TTL_S / 3)
        self.progress_at = clock.now()
        self.stopped = threading.Event()

    def beat(self) -> None:
        """Take note that the work goes on."""
        self.progress_at = clock.now()

    def __enter__(self) -> Heartbeat:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self.join(timeout=5)

    def run(self) -> None:
        try:
            while not self.stopped.wait(self.interval_s):
                if clock.now() - self.progress_at > timedelta(seconds=settings.NO_PROGRESS_LIMIT_S):
                    self.give_up()
                    return
                if not renew(self.lease):
                    log.warning("lease.lost", action=str(self.lease.action), attempt=self.lease.attempt)
                    return
        finally:
            connection.close()

    def give_up(self) -> None:
        """Mark the outcome unknown and end the process."""
        limit = settings.NO_PROGRESS_LIMIT_S
        lose_sight(self.lease, f"No progress in {limit:g} s; the hypervisor will be asked again.")
        log.error("action.hangs", action=str(self.lease.action), limit_s=limit)
        self.on_hang()
