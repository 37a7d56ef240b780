"""The findings of the last pass, stored as divergences for operators to see."""

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
    """Store the findings of a pass, then set `finished_at` and delete the passes before it.

    A bounded batch in each transaction. The earlier pass is what is shown until this one is finished. Stops
    without an error when a later pass has deleted this one.
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
    """Delete passes, given by primary key, with their divergences.

    The passes are locked first, so that a pass which is being stored adds nothing meanwhile.
    """
    passes = ReconcilePass.objects.select_for_update().filter(pk__in=keys)
    divergences = Divergence.objects.filter(reconcile__in=list(passes))
    divergences._raw_delete(divergences.db)
    passes._raw_delete(passes.db)


Since = dict[tuple[UUID, str, tuple[str, ...]], datetime]
"""When a difference of a server, by kind and hosts, was first seen."""


def first_seen() -> Since:
    """Return when each difference that is not repaired was first seen, from all stored passes."""
    rows = Divergence.objects.exclude(outcome=REPAIRED).order_by("-first_seen_at")
    return {(d.server_id, d.kind, tuple(d.hosts)): d.first_seen_at for d in rows}


def divergence(row: ReconcilePass, found: Found, since: Since) -> Divergence:
    """Return the unsaved record of a finding; a new difference was first seen when the pass began."""
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
