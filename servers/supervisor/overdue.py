"""Periodic work that becomes due: old moves are confirmed, and records are reconciled with hypervisors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from servers import clock
from servers.actions import registry
from servers.engine.accepting.request_context import local_operator
from servers.engine.accepting.submit import lock_server, submit
from servers.errors import Refusal
from servers.inventory.reconciliation.differences import Report
from servers.inventory.reconciliation.reconcile import is_due, reconcile
from servers.isolation import apart
from servers.models import ActionRecord, Migration
from servers.states import OPEN_ACTION_STATUSES, MigrationStatus, VmState

log = structlog.get_logger(__name__)

CONFIRMED_AT_ONCE = 50
"""How many moves one call of `confirm_overdue` tries; the next call is soon."""


def confirm_overdue() -> int:
    """Confirm cold migrations that waited longer than RESIZE_CONFIRM_WINDOW; return how many were accepted.

    Does nothing when the window is 0 (Nova's resize_confirm_window), and for one window after a step of the
    clock: then nobody can tell how long a move has waited. At most CONFIRMED_AT_ONCE are tried, in random
    order, so that refused ones do not keep the others waiting; each is accepted in a transaction of its own.
    """
    window_s = settings.RESIZE_CONFIRM_WINDOW_S
    if not window_s or clock.stepped_within(window_s):
        return 0
    numbers = list(overdue().order_by("?").values_list("pk", flat=True)[:CONFIRMED_AT_ONCE])
    done = [apart(partial(confirm, number), "confirm_overdue.failed", migration=number) for number in numbers]
    return sum(one is True for one in done)


def overdue() -> QuerySet[Migration]:
    """Return the finished migrations that are older than the window, at most one of each server.

    That is the server's newest finished one, while the server is in vm_state RESIZED and has no open action.
    """
    limit = clock.now() - timedelta(seconds=settings.RESIZE_CONFIRM_WINDOW_S)
    at_work = ActionRecord.objects.filter(server=OuterRef("server"), status__in=OPEN_ACTION_STATUSES)
    waiting = Migration.objects.filter(status=MigrationStatus.FINISHED, server__vm_state=VmState.RESIZED)
    later = Migration.objects.filter(
        server=OuterRef("server"), status=MigrationStatus.FINISHED, pk__gt=OuterRef("pk")
    )
    return waiting.filter(updated_at__lt=limit).exclude(Exists(at_work) | Exists(later))


def confirm(number: int) -> bool:
    """Submit confirm-resize for the migration with this primary key; return whether it was accepted.

    One transaction, in which the server is locked and `overdue` is read again. A Refusal is logged and not
    raised.
    """
    context = replace(local_operator(), user_name="resize_confirm_window", door="periodic")
    server = Migration.objects.values_list("server_id", flat=True).get(pk=number)
    try:
        with transaction.atomic():
            lock_server(server)
            if not overdue().filter(pk=number).exists():
                return False  # since it was listed, the server may have been moved again
            submit(registry["confirm-resize"], str(server), {}, context)
    except Refusal as refused:
        log.info("confirm_overdue.refused", migration=number, reason=str(refused))
        return False
    return True


def reconcile_when_due() -> Report | None:
    """Run one reconcile pass if none was begun within RECONCILE_INTERVAL; return its report, or None."""
    return reconcile(door="periodic") if is_due() else None
