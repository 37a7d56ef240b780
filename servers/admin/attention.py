"""What the last reconcile has found and could not put right by itself."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from servers.conductor.repairs import DONE
from servers.models import Divergence, ReconcilePass

ROWS = 10


@dataclass(frozen=True)
class Attention:
    """What needs a person, as of the last pass that came to its end."""

    last: ReconcilePass | None
    divergences: list[Divergence]
    more: bool


def open_divergences() -> QuerySet[Divergence]:
    """Return what is not repaired, oldest first."""
    rows = Divergence.objects.exclude(reconcile__finished_at=None).exclude(outcome=DONE)
    return rows.order_by("first_seen_at", "pk")


def needs_attention() -> Attention:
    """Return what stands on the first page."""
    rows = list(open_divergences().select_related("server")[: ROWS + 1])
    last = ReconcilePass.objects.exclude(finished_at=None).first()
    return Attention(last, rows[:ROWS], len(rows) > ROWS)
