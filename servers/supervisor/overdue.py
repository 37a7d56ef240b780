"""What is done by itself from time to time."""

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
"""How many moves are confirmed in a round: the next one is soon."""


def confirm_overdue() -> int:
    """Confirm cold migrations that have waited longer than RESIZE_CONFIRM_WINDOW; return how many. 0 is off.

    They come in no order, so that those which are refused keep no other from its turn for ever. After a step of the
    clock nobody can tell how long a move has waited: none is confirmed for a window.
    """
    window_s = settings.RESIZE_CONFIRM_WINDOW_S
    if not window_s or clock.stepped_within(window_s):
        return 0
    numbers = list(overdue().order_by("?").values_list("pk", flat=True)[:CONFIRMED_AT_ONCE])
    done = [apart(partial(confirm, number), "confirm_overdue.failed", migration=number) for number in numbers]
    return sum(one is True for one in done)


def overdue() -> QuerySet[Migration]:
    """Return the moves that have waited for too long, each its server's last one, where nobody works on that."""
    limit = clock.now() - timedelta(seconds=settings.RESIZE_CONFIRM_WINDOW_S)
    at_work = ActionRecord.objects.filter(server=OuterRef("server"), status__in=OPEN_ACTION_STATUSES)
    waiting = Migration.objects.filter(status=MigrationStatus.FINISHED, server__vm_state=VmState.RESIZED)
    later = Migration.objects.filter(
        server=OuterRef("server"), status=MigrationStatus.FINISHED, pk__gt=OuterRef("pk")
    )
    return waiting.filter(updated_at__lt=limit).exclude(Exists(at_work) | Exists(later))


def confirm(number: int) -> bool:
    """Accept the confirmation of a move, if it still waits for it; return whether it was accepted."""
    context = replace(local_operator(), user_name="resize_confirm_window", door="periodic")
    server = Migration.objects.values_list("server_id", flat=True).get(pk=number)
    try:
        with transaction.atomic():
            lock_server(server)
            if not overdue().filter(pk=number).exists():
                return False  # the server may have been moved again since
            submit(registry["confirm-resize"], str(server), {}, context)
    except Refusal as refused:
        log.info("confirm_overdue.refused", migration=number, reason=str(refused))
        return False
    return True


def reconcile_when_due() -> Report | None:
    """Compare records and hypervisors, and repair what is safe, once in RECONCILE_INTERVAL."""
    return reconcile(door="periodic") if is_due() else None
