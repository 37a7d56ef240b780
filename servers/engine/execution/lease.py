"""The lease of an action: one worker at a time, proven by a fencing token.

The claim is one conditional UPDATE that passes the state machine by: only a single statement is decided by
the database. Every later write of a worker is refused when the token has changed: it is either one UPDATE
with the token in its condition, or happens inside `fenced`, which reads the token again under lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce
from operator import or_
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from servers import clock
from servers.actions import definitions
from servers.deployment.standing import STANDING
from servers.engine.execution import signals
from servers.errors import LeaseLost
from servers.models import ActionRecord, Server
from servers.states import HELD_ACTION_STATUSES, OPEN_ACTION_STATUSES, ActionStatus

LONGEST_DELAY_S = 300.0
"""The longest delay of an action, in seconds. A due time later than that was written by a wrong clock."""

STALLED = "It made no progress in {attempts} attempts. Somebody has to look, and to decide. Last: {reason}"
ENDED_EACH = "the worker ended in each attempt"
OF_ANOTHER_VERSION = (
    "Another version of Gantry has accepted it, and no worker here knows how to go on with it."
)


@dataclass(frozen=True)
class Lease:
    """The right of a worker to work on an action. `attempt` is the fencing token."""

    action: UUID
    attempt: int
    worker: str
    named: Mapping[str, object] = field(default_factory=dict, compare=False)
    """By what a line of the log is found that is written during the attempt: the request's id first of all."""


def claimable() -> Q:
    """Return the condition for an action that is due, waits for no slot, and that no worker holds.

    A time further ahead than any that Gantry writes counts as due. For LEASE_TTL after a step of the clock no
    running action is claimable, so that its worker can renew the lease.
    """
    now = clock.now()
    due = Q(due_at__lte=now) | Q(due_at__gt=now + timedelta(seconds=2 * LONGEST_DELAY_S))
    waiting = Q(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN], stalled_at=None) & due
    if not clock.stepped_within(settings.LEASE_TTL_S):
        waiting |= Q(status=ActionStatus.RUNNING) & lease_is_over()
    return Q(waits_for_host="") & waiting


def lease_is_over() -> Q:
    """Return the condition for a lease that has run out, or that a wrong clock has written."""
    now = clock.now()
    return Q(lease_until__lt=now) | Q(lease_until__gt=now + timedelta(seconds=10 * settings.LEASE_TTL_S))


def has_its_turn() -> Q:
    """Return the condition for an action that need not wait for another exclusive action of its server.

    An exclusive action waits while another one is RUNNING or UNKNOWN; queued ones come in order of
    acceptance.
    """
    others = ActionRecord.objects.filter(server=OuterRef("server"), exclusive=True).exclude(pk=OuterRef("pk"))
    held = others.filter(status__in=HELD_ACTION_STATUSES)
    earlier = others.filter(status=ActionStatus.QUEUED, created_at__lt=OuterRef("created_at"))
    mine = Q(status__in=HELD_ACTION_STATUSES)
    return Q(exclusive=False) | ((mine | ~Exists(earlier)) & ~Exists(held))


def known_definitions() -> Q:
    """Return the condition for actions whose definition this process has, in the same version."""
    slugs: dict[int, list[str]] = {}
    for slug, action in definitions.items():
        slugs.setdefault(action.version, []).append(slug)
    known = (Q(definition=version, slug__in=those) for version, those in slugs.items())
    return reduce(or_, known, Q(pk__in=[]))


def claim(action: UUID, worker: str) -> Lease | None:
    """Claim the action and return the lease; None when it is not due, is held, or has to wait its turn.

    One transaction. After MAX_FUTILE_ATTEMPTS attempts in a row without progress the action is not claimed
    any more: it is stalled until an operator judges it.
    """
    return _claim(ActionRecord.objects.filter(known_definitions(), STANDING.allowed(), pk=action), worker)


def _claim(rows: QuerySet[ActionRecord], worker: str) -> Lease | None:
    row = rows.filter(claimable(), has_its_turn()).first()
    return None if row is None else claim_row(row, worker)


def claim_row(row: ActionRecord, worker: str) -> Lease | None:
    """Claim an action that was read a moment ago as claimable; as `claim`, and None as well when it has changed."""
    try:
        with transaction.atomic():
            return _take(row, worker)
    except IntegrityError:  # one_exclusive_action_per_server: another action was claimed first
        return None


def _take(row: ActionRecord, worker: str) -> Lease | None:
    """Write the claim, unless the row has changed since it was read; count attempts without progress."""
    now = clock.now()
    lease = Lease(row.pk, row.attempt + 1, worker, named(row, row.attempt + 1))
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
    if row.status == ActionStatus.RUNNING:
        signals.send_when_committed(signals.action_taken_over, slug=row.slug)
    if row.started_at is None:
        waited_s = (now - row.created_at).total_seconds()
        signals.send_when_committed(signals.action_started, slug=row.slug, waited_s=waited_s)
    return lease


def named(row: ActionRecord, attempt: int) -> dict[str, object]:
    """Return what each line of the log says that is written during an attempt at an action."""
    return {
        "request_id": row.request_id,
        "action": str(row.pk),
        "slug": row.slug,
        "server": str(row.server_id),
        "attempt": attempt,
    }


@contextmanager
def fenced(lease: Lease, *, of_server: bool = True) -> Iterator[None]:
    """Open a transaction with the action's row locked. Raises LeaseLost when the lease was lost.

    It is lost when `attempt` has changed or the action is not RUNNING; one that has only run out is not. The
    server's row is locked first. Every writer locks in the order server, action, group, host, migration,
    image, or two of them could wait for each other (decision 2). A database that locks no rows (SQLite) has
    one writer at a time, which is this one. Without `of_server` only the action's row is locked, for writes to
    the action's own events.
    """
    with transaction.atomic():
        if of_server and connection.features.has_select_for_update:
            of_action = ActionRecord.objects.filter(pk=lease.action).values("server")
            Server.objects.select_for_update().values_list("pk").get(pk__in=of_action)
        mine = ActionRecord.objects.select_for_update().values_list("attempt", "status").get(pk=lease.action)
        if mine != (lease.attempt, ActionStatus.RUNNING):
            raise LeaseLost
        yield


@contextmanager
def fenced_record(lease: Lease) -> Iterator[ActionRecord]:
    """Open a transaction as `fenced` does, and yield the action record as it is in it."""
    with fenced(lease):
        yield ActionRecord.objects.get(pk=lease.action)


def renew(lease: Lease, **journal: object) -> bool:
    """Extend the lease by LEASE_TTL, and write the fields `journal`; return False when it was lost."""
    until = clock.now() + timedelta(seconds=settings.LEASE_TTL_S)
    return _held(lease).update(lease_until=until, **journal) == 1


def write(lease: Lease, **values: object) -> None:
    """Write fields of the action record, and nothing else. Raises LeaseLost when the lease was lost."""
    if _held(lease).update(**values) != 1:
        raise LeaseLost


def mark_unknown(lease: Lease, reason: str) -> bool:
    """Write that the action's outcome is unknown; return False when the lease was lost.

    A worker tries again later, after a pause that grows up to LONGEST_DELAY_S. After MAX_FUTILE_ATTEMPTS
    attempts in a row without progress the action is stalled instead.
    """
    futile = _held(lease).values_list("futile", flat=True).first() or 0
    if futile >= settings.MAX_FUTILE_ATTEMPTS:
        return stall(lease, reason)
    delay_s = min(settings.UNKNOWN_RETRY_S * 2.0 ** max(futile - 1, 0), LONGEST_DELAY_S)
    return _become_unknown(lease, reason, due_at=clock.now() + timedelta(seconds=delay_s))


def stall(lease: Lease, reason: str) -> bool:
    """Write that the action's outcome is unknown, and that no worker tries again until an operator judges it.

    Return False when the lease was lost.
    """
    said = STALLED.format(attempts=settings.MAX_FUTILE_ATTEMPTS, reason=reason)
    return _become_unknown(lease, said, stalled_at=clock.now())


def stall_foreign(older_than_s: float) -> int:
    """Let actions wait for an operator that no worker of this version can claim; return how many now do.

    Their definition is of another version of Gantry. While both versions run, workers of the other one may still
    come: what is due for less than `older_than_s` seconds is left to them.
    """
    foreign = ActionRecord.objects.filter(
        due_at__lt=clock.now() - timedelta(seconds=older_than_s), status__in=OPEN_ACTION_STATUSES
    ).exclude(known_definitions())
    stalled = 0
    for action in foreign.filter(claimable()).values_list("pk", flat=True):
        lease = _claim(foreign.filter(pk=action), "sweep")
        if lease is not None:
            stalled += _become_unknown(lease, OF_ANOTHER_VERSION, stalled_at=clock.now())
    return stalled


def _become_unknown(lease: Lease, reason: str, **values: object) -> bool:
    unknown = {"status": ActionStatus.UNKNOWN, "lease_until": None, "error_text": reason}
    return _held(lease).update(**unknown, updated_at=clock.now(), **values) == 1


def _held(lease: Lease) -> QuerySet[ActionRecord]:
    return ActionRecord.objects.filter(pk=lease.action, attempt=lease.attempt, status=ActionStatus.RUNNING)


def hand_over(lease: Lease, **journal: object) -> bool:
    """End the lease, and write the fields `journal`; return False when it was lost. Anybody can claim the action."""
    until = clock.now() - timedelta(seconds=0.001)
    return _held(lease).update(lease_until=until, **journal) == 1


def release(worker: str) -> int:
    """End the leases of a worker whose process is known to be dead; return how many it had."""
    held = ActionRecord.objects.filter(worker=worker, status=ActionStatus.RUNNING)
    return held.update(lease_until=clock.now() - timedelta(seconds=0.001))
