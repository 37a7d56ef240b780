"""Who works on an action: one worker at a time, proven by a fencing token.

The claim is the one conditional UPDATE that passes the state machine by: it must be a single statement to be
decided by the database. Every later write of a worker happens inside `fenced`, which reads the action again
under lock and refuses when the token has moved on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from servers import clock
from servers.actions import definitions
from servers.errors import LeaseLost
from servers.models import ActionRecord, Server
from servers.states import HELD_ACTION_STATUSES, ActionStatus

LONGEST_DELAY_S = 300.0
"""No action is put off for longer; what is due later than that was written by a clock that is wrong."""

STALLED = "It made no progress in {attempts} attempts. Somebody has to look, and to decide. Last: {reason}"
ENDED_EACH = "the worker ended in each attempt"


@dataclass(frozen=True)
class Lease:
    """The right to work on an action. `attempt` is the fencing token."""

    action: UUID
    attempt: int
    worker: str


def claimable() -> Q:
    """Return the condition for an action that may be claimed at this moment: due and held by nobody.

    Times that lie further ahead than any that is ever written are due as well. After a step of the clock every
    lease has one more TTL, in which its holder renews it.
    """
    now = clock.now()
    due = Q(due_at__lte=now) | Q(due_at__gt=now + timedelta(seconds=2 * LONGEST_DELAY_S))
    waiting = Q(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN], stalled_at=None) & due
    if clock.stepped_within(settings.LEASE_TTL_S):
        return waiting
    return waiting | (Q(status=ActionStatus.RUNNING) & lease_is_over())


def lease_is_over() -> Q:
    """Return the condition for a lease that nobody renews."""
    now = clock.now()
    return Q(lease_until__lt=now) | Q(lease_until__gt=now + timedelta(seconds=10 * settings.LEASE_TTL_S))


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
    """Return the lease, or None when the action is not due, held by somebody, or has to wait its turn.

    One that has made no progress in too many attempts is claimed no more: it waits for a person.
    """
    there = ActionRecord.objects.filter(claimable(), known_definitions(), has_its_turn(), pk=action)
    row = there.first()
    if row is None:
        return None
    try:
        with transaction.atomic():
            return _take(row, worker)
    except IntegrityError:  # one_exclusive_action_per_server: another one was quicker
        return None


def _take(row: ActionRecord, worker: str) -> Lease | None:
    """Write the claim of a row as it was read a moment ago, with what has come of the attempt before it."""
    now = clock.now()
    lease = Lease(row.pk, row.attempt + 1, worker)
    futile = row.futile + 1 if row.progress == row.last_progress else 1
    rows = ActionRecord.objects.filter(claimable(), pk=row.pk, attempt=row.attempt).update(
        status=ActionStatus.RUNNING,
        attempt=lease.attempt,
        worker=worker,
        lease_until=now + timedelta(seconds=settings.LEASE_TTL_S),
        started_at=Coalesce("started_at", now),
        updated_at=now,
        futile=futile,
        last_progress=row.progress,
    )
    if rows != 1:
        return None
    if futile > settings.MAX_FUTILE_ATTEMPTS:
        stall(lease, row.error_text or ENDED_EACH)
        return None
    return lease


@contextmanager
def fenced(lease: Lease) -> Iterator[None]:
    """Open a transaction with the action's row locked. Raises LeaseLost when somebody else has it now.

    The server's row is locked first, as each way in does it: whoever writes takes server, action, group,
    host, migration and image in this order, or two of them could wait for each other. A database that locks no rows
    (SQLite) has one writer at a time, which is this one.
    """
    with transaction.atomic():
        if connection.features.has_select_for_update:
            of_action = ActionRecord.objects.filter(pk=lease.action).values("server")
            Server.objects.select_for_update().values_list("pk").get(pk__in=of_action)
        mine = ActionRecord.objects.select_for_update().values_list("attempt", "status").get(pk=lease.action)
        if mine != (lease.attempt, ActionStatus.RUNNING):
            raise LeaseLost
        yield


@contextmanager
def fenced_record(lease: Lease) -> Iterator[ActionRecord]:
    """Open such a transaction, with the action as it stands in it."""
    with fenced(lease):
        yield ActionRecord.objects.get(pk=lease.action)


def renew(lease: Lease, **journal: object) -> bool:
    """Hold the lease for another while, and write `journal` with it; return False when it was lost."""
    until = clock.now() + timedelta(seconds=settings.LEASE_TTL_S)
    return _held(lease).update(lease_until=until, **journal) == 1


def mark_unknown(lease: Lease, reason: str) -> bool:
    """Give the action up as unknown: it is looked at again later, each time after a longer pause.

    After too many attempts without progress it waits for a person instead. Return False when the lease was lost.
    """
    futile = _held(lease).values_list("futile", flat=True).first() or 0
    if futile >= settings.MAX_FUTILE_ATTEMPTS:
        return stall(lease, reason)
    delay_s = min(settings.UNKNOWN_RETRY_S * 2.0 ** max(futile - 1, 0), LONGEST_DELAY_S)
    return _become_unknown(lease, reason, due_at=clock.now() + timedelta(seconds=delay_s))


def stall(lease: Lease, reason: str) -> bool:
    """Leave the action as unknown until somebody has judged it. Return False when the lease was lost."""
    said = STALLED.format(attempts=settings.MAX_FUTILE_ATTEMPTS, reason=reason)
    return _become_unknown(lease, said, stalled_at=clock.now())


def _become_unknown(lease: Lease, reason: str, **values: object) -> bool:
    unknown = {"status": ActionStatus.UNKNOWN, "lease_until": None, "error_text": reason}
    return _held(lease).update(**unknown, updated_at=clock.now(), **values) == 1


def _held(lease: Lease) -> QuerySet[ActionRecord]:
    return ActionRecord.objects.filter(pk=lease.action, attempt=lease.attempt, status=ActionStatus.RUNNING)


def release(worker: str) -> int:
    """Let the leases of a worker end whose process is known to be gone; return how many it had."""
    held = ActionRecord.objects.filter(worker=worker, status=ActionStatus.RUNNING)
    return held.update(lease_until=clock.now() - timedelta(seconds=0.001))
