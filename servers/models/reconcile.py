"""What the last comparison of database and hypervisors has found."""

from __future__ import annotations

from django.db import models

from servers import clock
from servers.models.server import Server


class ReconcilePass(models.Model):
    """One comparison. The newest one is what the console shows; older ones are forgotten."""

    door = models.CharField(max_length=16, default="periodic")
    started_at = models.DateTimeField(default=clock.now, db_index=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    hosts = models.PositiveIntegerField(default=0, help_text="How many were asked.")
    silent = models.JSONField(default=dict, help_text="Hosts that did not answer, each with the reason.")

    class Meta:
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"reconcile of {self.started_at:%Y-%m-%d %H:%M:%S}"


class Divergence(models.Model):
    """A difference between a record and what was seen, and what would put it right."""

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
