"""What ended actions have left behind because they could not undo it: the reconciler takes it up."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from servers import clock
from servers.models import ActionRecord
from servers.states import OPEN_ACTION_STATUSES

CLEARED = "cleared"
"""Name in an action's result: when what it has left was removed in its place."""


def owing() -> QuerySet[ActionRecord]:
    """Return the actions that are over and have left something on a host."""
    return ActionRecord.objects.exclude(left_on="").exclude(status__in=OPEN_ACTION_STATUSES)


def left_by(action: ActionRecord) -> str:
    """Return what an action has left, in words."""
    return "; ".join([*action.result.get("not_undone", []), action.result.get("left_behind", "")]).strip("; ")


@transaction.atomic
def mark_cleared(**which: object) -> None:
    """Write down that nothing is left of these actions."""
    for record in owing().select_for_update().filter(**which):
        record.result = {**record.result, CLEARED: clock.now().isoformat()}
        record.left_on = ""
        record.save(update_fields=["result", "left_on"])
