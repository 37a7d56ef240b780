"""What ended actions have left behind because they could not undo it: the reconciler takes it up."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from servers import clock
from servers.models import ActionRecord
from servers.states import ActionStatus

LEFT, CLEARED = "not_undone", "cleared"
"""Names in an action's result: what it could not undo, and when that was done in its place."""


def owing() -> QuerySet[ActionRecord]:
    """Return the actions that are over and have left something."""
    ended = ActionRecord.objects.filter(status__in=[ActionStatus.FAILED, ActionStatus.CANCELLED])
    return ended.filter(result__has_key=LEFT).exclude(result__has_key=CLEARED)


@transaction.atomic
def mark_cleared(**which: object) -> None:
    """Write down that nothing is left of these actions."""
    for record in owing().select_for_update().filter(**which):
        record.result = {**record.result, CLEARED: clock.now().isoformat()}
        record.save(update_fields=["result"])
