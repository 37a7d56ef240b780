"""Actions that are over and have left something on a host, which the reconciler removes."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from servers import clock
from servers.models import ActionRecord
from servers.states import OPEN_ACTION_STATUSES

CLEARED = "cleared"
"""Key in an action's result: when the reconciler removed what the action had left, in ISO form."""


def owing() -> QuerySet[ActionRecord]:
    """Return the actions that are over and have left something on a host (`left_on`)."""
    return ActionRecord.objects.exclude(left_on="").exclude(status__in=OPEN_ACTION_STATUSES)


def left_by(action: ActionRecord) -> str:
    """Return what an action has left, in words: `not_undone` and `left_behind` of its result."""
    return "; ".join([*action.result.get("not_undone", []), action.result.get("left_behind", "")]).strip("; ")


@transaction.atomic
def mark_cleared(**which: object) -> None:
    """Record that owing actions, filtered by `which`, have left nothing any more; one transaction."""
    for record in owing().select_for_update().filter(**which):
        record.result = {**record.result, CLEARED: clock.now().isoformat()}
        record.left_on = ""
        record.save(update_fields=["result", "left_on"])
