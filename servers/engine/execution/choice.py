"""Which action a process begins next: what was begun and left, control, then the other classes by their weights.

It is decided when the process is free, by the records. Nothing is locked for it: two processes may choose the
same action, one of them claims it, and the other one chooses again.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db.models import Case, Q, QuerySet, Value, When

from servers.deployment.standing import STANDING
from servers.engine.execution.lease import (
    Lease,
    claim_row,
    claimable,
    has_its_turn,
    known_definitions,
)
from servers.engine.execution.shares import Shares
from servers.models import ActionRecord
from servers.states import ActionStatus, QueueClass

ALL_CLASSES = tuple(QueueClass)
FIRST_CLASSES = (QueueClass.CONTROL, QueueClass.STOPPING)
MOST_LOST = 50
"""How many claims in a row a process may lose to others before it stops choosing; the sweep wakes it again."""


def due(*conditions: Q) -> QuerySet[ActionRecord]:
    """Return the actions under these conditions that a process could claim now, the oldest first."""
    rows = ActionRecord.objects.filter(
        *conditions, claimable(), known_definitions(), STANDING.allowed(), has_its_turn()
    )
    return rows.filter(finished_at=None).order_by("created_at")


def due_of(name: QueueClass) -> QuerySet[ActionRecord]:
    """Return the actions of one class that a process could claim now, the oldest first."""
    return due(Q(queue_class=name))


class Choice:
    """What one process begins, one action after the other; `classes` are those that it takes at all."""

    def __init__(self, classes: Collection[QueueClass] = ALL_CLASSES) -> None:
        self.classes = classes
        self.shares = Shares(settings.QUEUE_WEIGHTS, classes)

    def claim_next(self, worker: str) -> Lease | None:
        """Claim the action that comes next, and return its lease; None when nothing is due for this process."""
        for _ in range(MOST_LOST):
            there = self.claimable_classes()
            urgent = self.urgent(there)
            row = urgent or self.next_by_shares(there)
            if row is None:
                self.shares.take_turn(None)
                return None
            lease = claim_row(row, worker)
            if lease is not None:
                if urgent is None:
                    self.shares.take_turn(QueueClass(row.queue_class))
                return lease
        return None

    def claimable_classes(self) -> set[tuple[str, str]]:
        """Return the statuses and classes of which there are claimable actions; whose turn it is, is not asked.

        It spares the queries below where there is nothing: each costs more to make and to plan than this one.
        """
        rows = ActionRecord.objects.filter(
            claimable(), STANDING.allowed(), finished_at=None, queue_class__in=self.classes
        )
        return set(rows.order_by().values_list("status", "queue_class").distinct())

    def urgent(self, there: Collection[tuple[str, str]]) -> ActionRecord | None:
        """Return what goes before all classes with a weight: what a worker has left, control, what is to stop."""
        if not any(status == ActionStatus.RUNNING or name in FIRST_CLASSES for status, name in there):
            return None
        left = Q(status=ActionStatus.RUNNING, queue_class__in=self.classes)
        asked = Q(queue_class__in=[name for name in FIRST_CLASSES if name in self.classes])
        rank = Case(When(left, then=0), When(queue_class=QueueClass.CONTROL, then=1), default=Value(2))
        return due(left | asked).order_by(rank, "created_at").first()

    def next_by_shares(self, there: Collection[tuple[str, str]]) -> ActionRecord | None:
        """Return the oldest action of the class whose turn it is, or of the next one in which one is due."""
        waiting = {name for _, name in there}
        oldest = (due_of(name).first() for name in self.shares.order() if name in waiting)
        return next((row for row in oldest if row is not None), None)
