"""What the last comparison has found, as it is kept for people to see."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from servers import clock
from servers.engine.records.batches import forget, in_batches
from servers.inventory.reconciliation.differences import Found, Report
from servers.models import Divergence, ReconcilePass
from servers.models.reconcile import REPAIRED

FAILED = "failed: {reason}"
OUTCOME_LENGTH = 255


def keep(row: ReconcilePass, report: Report) -> None:
    """Keep what a pass has found, and since when it has been so; then forget the passes before it.

    Until it is finished, the one before it is what is shown. A pass that a later one has overtaken is not kept.
    """
    since = first_seen()
    for batch in in_batches(report.found):
        with transaction.atomic():
            if not ReconcilePass.objects.select_for_update().filter(pk=row.pk).exists():
                return
            Divergence.objects.bulk_create(divergence(row, found, since) for found in batch)
    done = {"finished_at": clock.now(), "hosts": report.hosts, "silent": report.silent}
    if ReconcilePass.objects.filter(pk=row.pk).update(**done):
        earlier = ReconcilePass.objects.filter(started_at__lt=row.started_at)
        forget(Divergence.objects.filter(reconcile__in=earlier))
        forget(earlier, forget_passes)


@transaction.atomic
def forget_passes(keys: list[int]) -> None:
    """Delete passes, with what one of them may have kept at this moment."""
    passes = ReconcilePass.objects.select_for_update().filter(pk__in=keys)
    divergences = Divergence.objects.filter(reconcile__in=list(passes))
    divergences._raw_delete(divergences.db)
    passes._raw_delete(passes.db)


Since = dict[tuple[UUID, str, tuple[str, ...]], datetime]
"""When a difference of a server, of this kind and on these hosts, was seen first."""


def first_seen() -> Since:
    """Return since when there is what was found before and is not put right."""
    rows = Divergence.objects.exclude(outcome=REPAIRED).order_by("-first_seen_at")
    return {(d.server_id, d.kind, tuple(d.hosts)): d.first_seen_at for d in rows}


def divergence(row: ReconcilePass, found: Found, since: Since) -> Divergence:
    """Return the record of a finding."""
    finding = found.finding
    return Divergence(
        reconcile=row,
        server_id=finding.server,
        kind=finding.kind,
        hosts=list(finding.hosts),
        what=finding.what,
        proposal=finding.proposal,
        safe=finding.safe,
        outcome=found.outcome[:OUTCOME_LENGTH],
        first_seen_at=since.get((finding.server, finding.kind, finding.hosts), row.started_at),
    )
