"""What is done by itself from time to time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import structlog
from django.conf import settings

from servers import clock
from servers.actions import registry
from servers.conductor.context import local_operator
from servers.conductor.reconcile import Report, is_due, reconcile
from servers.conductor.submit import submit
from servers.errors import Refusal
from servers.models import Migration
from servers.states import MigrationStatus

log = structlog.get_logger(__name__)


def confirm_overdue() -> int:
    """Confirm cold migrations that have waited longer than RESIZE_CONFIRM_WINDOW; return how many. 0 is off."""
    if not settings.RESIZE_CONFIRM_WINDOW_S:
        return 0
    limit = clock.now() - timedelta(seconds=settings.RESIZE_CONFIRM_WINDOW_S)
    overdue = Migration.objects.filter(status=MigrationStatus.FINISHED, updated_at__lt=limit)
    confirmed = 0
    for migration in overdue:
        try:
            context = replace(local_operator(), user_name="resize_confirm_window", door="periodic")
            submit(registry["confirm-resize"], str(migration.server_id), {}, context)
            confirmed += 1
        except Refusal as refused:
            log.info("confirm_overdue.refused", migration=migration.pk, reason=str(refused))
    return confirmed


def reconcile_when_due() -> Report | None:
    """Compare records and hypervisors, and repair what is safe, once in RECONCILE_INTERVAL."""
    return reconcile(door="periodic") if is_due() else None
