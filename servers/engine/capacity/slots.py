"""Slots of a host: how many live migrations may leave it at a time (Nova contract B.6, 8).

An action that has to wait for one names the host in `waits_for_host`, and no worker takes it. It is let go
on in the transaction that ends a live migration from there, however that ends.
"""

from __future__ import annotations

from collections.abc import Sized

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from servers import clock
from servers.models import ActionRecord, Host, Migration
from servers.states import ActionStatus, MigrationStatus

IN_SLOT = (MigrationStatus.PREPARING, MigrationStatus.RUNNING)
"""The statuses in which a migration has a slot of its source."""


def in_slots(host: str) -> QuerySet[Migration]:
    """Return the migrations that have a slot of `host`."""
    return Migration.objects.filter(status__in=IN_SLOT, source_compute=host)


def locked(host: str) -> list[int]:
    """Lock the row of `host`, and return the primary keys of the migrations that have a slot of it."""
    Host.objects.select_for_update().get(name=host)
    return list(in_slots(host).values_list("pk", flat=True))


def are_taken(moving: Sized) -> bool:
    """Return whether so many migrations have all slots of a host."""
    return len(moving) >= settings.MAX_CONCURRENT_LIVE_MIGRATIONS


def waiting_for(host: str) -> QuerySet[ActionRecord]:
    """Return the actions that wait for a slot of `host`, the oldest first."""
    return ActionRecord.objects.filter(finished_at=None, waits_for_host=host).order_by("created_at", "pk")


def let_go_on(host: str) -> int:
    """Let as many actions go on as `host` has free slots, the oldest first; return how many.

    A slot is not free either for which an action is on its way. What somebody else has locked is passed over:
    a transaction that ends a migration waits for no other server's action. Whether there is a slot decides
    `take_slot`, under lock.
    """
    if not waiting_for(host).exists():
        return 0
    on_its_way = ActionRecord.objects.filter(
        migration__source_compute=host,
        migration__status=MigrationStatus.QUEUED,
        exclusive=True,
        waits_for_host="",
        status__in=[ActionStatus.QUEUED, ActionStatus.RUNNING],
    )
    free = settings.MAX_CONCURRENT_LIVE_MIGRATIONS - in_slots(host).count() - on_its_way.count()
    if free <= 0:
        return 0
    with transaction.atomic():
        oldest = waiting_for(host).select_for_update(skip_locked=True).values_list("pk", flat=True)[:free]
        return ActionRecord.objects.filter(pk__in=list(oldest)).update(waits_for_host="", due_at=clock.now())
