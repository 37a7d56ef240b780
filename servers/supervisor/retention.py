"""Retention: records that are old enough are deleted, except those that something still depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from servers import clock
from servers.audit.recording import note
from servers.engine.records.batches import forget
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Divergence,
    Host,
    IdempotencyKey,
    KnownAddress,
    LoginFailures,
    Migration,
    Token,
)
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES, ImageStatus

AT_MOST = 20_000
"""How many rows of a kind one call of `prune` deletes; the next call is within the hour."""


def ago(days: int) -> datetime:
    """Return the time so many days before now, aware UTC."""
    return clock.now() - timedelta(days=days)


def old_actions() -> QuerySet[ActionRecord]:
    """Return the actions that ended more than KEEP_ACTIONS_DAYS ago and that nothing depends on.

    Kept are actions whose migration is not over, whose image is queued or saving, which have overtaken an
    action that is still open, or which have left something on a host that is still recorded.
    """
    overtaken = ActionRecord.objects.filter(overtaken_by=OuterRef("pk"), status__in=OPEN_ACTION_STATUSES)
    moves = Q(migration=None) | Q(migration__status__in=MIGRATION_OVER)
    unfinished = Q(image__status__in=[ImageStatus.QUEUED, ImageStatus.SAVING])
    old = ActionRecord.objects.filter(moves, finished_at__lt=ago(settings.KEEP_ACTIONS_DAYS))
    left = Host.objects.filter(name=OuterRef("left_on"))
    over = old.exclude(status__in=OPEN_ACTION_STATUSES).exclude(unfinished)
    return over.exclude(Exists(overtaken) | Exists(left))


def forget_actions(keys: list[UUID]) -> None:
    """Delete actions, given by primary key, with their events; actions that they have overtaken stay.

    The events go first, in transactions of their own, then the actions in one transaction.
    """
    forget(ActionEvent.objects.filter(action__in=keys))
    with transaction.atomic():
        ActionRecord.objects.filter(overtaken_by__in=keys).update(overtaken_by=None)
        gone = ActionRecord.objects.filter(pk__in=keys)
        gone._raw_delete(gone.db)


def old_migrations() -> QuerySet[Migration]:
    """Return the migrations that were over more than KEEP_ACTIONS_DAYS ago and that nothing refers to.

    Kept are those with an action or an allocation, and those of a server with a divergence.
    """
    mine = {"migration": OuterRef("pk")}
    differs = Divergence.objects.filter(server=OuterRef("server"))
    ended = Coalesce("finished_at", "updated_at", "created_at")
    old = Migration.objects.filter(status__in=MIGRATION_OVER).alias(ended=ended)
    old = old.filter(ended__lt=ago(settings.KEEP_ACTIONS_DAYS))
    return old.exclude(
        Exists(ActionRecord.objects.filter(**mine))
        | Exists(Allocation.objects.filter(**mine))
        | Exists(differs)
    )


def old_keys() -> QuerySet[IdempotencyKey]:
    """Return the idempotency keys that were first used more than IDEMPOTENCY_KEEP ago."""
    kept = timedelta(seconds=settings.IDEMPOTENCY_KEEP_S)
    return IdempotencyKey.objects.filter(claimed_at__lt=clock.now() - kept)


@dataclass(frozen=True)
class Forgotten:
    """One kind of rows that are not kept for ever.

    `rows` returns those to delete. `delete` gets primary keys; None is a plain DELETE.
    """

    name: str
    rows: Callable[[], QuerySet[Any]]
    delete: Callable[[list[Any]], object] | None = None


FORGOTTEN = (
    Forgotten("actions", old_actions, forget_actions),
    Forgotten("migrations", old_migrations),
    Forgotten("tokens", lambda: Token.objects.filter(expires_at__lt=ago(settings.KEEP_TOKENS_DAYS))),
    Forgotten("idempotency keys", old_keys),
    Forgotten("sessions", lambda: Session.objects.filter(expire_date__lt=clock.now())),
    Forgotten("failed logins", lambda: LoginFailures.objects.filter(ends_at__lt=clock.now())),
    Forgotten(
        "known addresses",
        lambda: KnownAddress.objects.filter(seen_at__lt=ago(settings.LOGIN_KNOWN_DAYS)),
    ),
)


def prune() -> dict[str, int]:
    """Delete what is past its retention, in short transactions; return how many rows of each kind, by name.

    At most AT_MOST rows of each kind are deleted in one call.
    """
    gone = {kind.name: forget(kind.rows(), kind.delete, at_most=AT_MOST) for kind in FORGOTTEN}
    if any(gone.values()):
        note("pruned", "records", "old records", **gone)
    return gone
