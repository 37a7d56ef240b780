"""What the last comparison of database and hypervisors has found."""

from __future__ import annotations

from typing import Self

from django.db import models

from servers import clock
from servers.models.server import Server

REPAIRED = "repaired"
"""The outcome of a repair that was done."""
CHANGED = "left alone: the server has changed meanwhile"
"""The outcome of a repair that was not done, since the difference may be none any more."""


class ReconcilePassQuerySet(models.QuerySet["ReconcilePass"]):
    """Comparisons."""

    def finished(self) -> Self:
        """Return those that came to their end, the last one first."""
        return self.exclude(finished_at=None)


class ReconcilePass(models.Model):
    """One comparison. The newest one is what the console shows; older ones are forgotten."""

    objects = ReconcilePassQuerySet.as_manager()

    door = models.CharField(max_length=16, default="periodic")
    started_at = models.DateTimeField(default=clock.now, db_index=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    hosts = models.PositiveIntegerField(default=0, help_text="How many were asked.")
    silent = models.JSONField(default=dict, help_text="Hosts that did not answer, each with the reason.")

    class Meta:
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"reconcile of {self.started_at:%Y-%m-%d %H:%M:%S}"


class DivergenceQuerySet(models.QuerySet["Divergence"]):
    """Differences between records and hypervisors."""

    def unrepaired(self) -> Self:
        """Return what the last comparison has found and not put right, the oldest first."""
        last = ReconcilePass.objects.finished().values("pk")[:1]
        return (
            self.filter(reconcile=last)
            .exclude(outcome__in=[REPAIRED, CHANGED])
            .order_by("first_seen_at", "pk")
        )


class Divergence(models.Model):
    """A difference between a record and what was seen, and what would put it right."""

    objects = DivergenceQuerySet.as_manager()

    reconcile = models.ForeignKey(ReconcilePass, on_delete=models.CASCADE, related_name="divergences")
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="divergences")
    kind = models.CharField(max_length=32)
    hosts = models.JSONField(default=list, help_text="Where it was seen.")
    what = models.TextField()
    proposal = models.TextField()
    safe = models.BooleanField(
        default=False, help_text="Whether the repair touches records alone, and cannot be wrong."
    )
    outcome = models.CharField(
        max_length=255, blank=True, help_text="What became of the repair; empty: none was tried."
    )
    first_seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["-first_seen_at", "pk"]

    def __str__(self) -> str:
        return f"{self.kind} of {self.server_id}"
