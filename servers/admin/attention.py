"""What the last reconcile has found and could not put right by itself."""

from __future__ import annotations

from dataclasses import dataclass

from servers.models import Divergence, ReconcilePass

ROWS = 10


@dataclass(frozen=True)
class Attention:
    """What needs a person, as of the last pass that came to its end."""

    last: ReconcilePass | None
    divergences: list[Divergence]
    more: bool


def needs_attention() -> Attention:
    """Return what stands on the first page."""
    rows = list(Divergence.objects.unrepaired().select_related("server")[: ROWS + 1])
    return Attention(ReconcilePass.objects.finished().first(), rows[:ROWS], len(rows) > ROWS)
