"""The audit trail: what was changed, by whom, how and from where; and the chain that proves it.

Triggers of the database write the records, in the transaction of the change (`servers.audit.triggers`), and refuse to
change or delete them.
"""

from __future__ import annotations

from django.db import models

from servers import clock


class AuditRecord(models.Model):
    """One change of one row. `before` and `after` have the columns that differ; of a secret one only that it does.

    What it is about is named, not referred to: it outlives its object. `object_id` of a UUID has no hyphens.
    """

    at = models.DateTimeField(default=clock.now)
    who = models.CharField(max_length=255, blank=True)
    who_id = models.CharField(max_length=64, blank=True)
    on_behalf_of = models.CharField(
        max_length=255, blank=True, help_text="The user in whose stead it was done."
    )
    door = models.CharField(max_length=16)
    source = models.CharField(max_length=255, blank=True, help_text="Address, or machine.")
    request_id = models.CharField(max_length=64, blank=True)
    verb = models.CharField(max_length=32)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=255, blank=True)
    project_id = models.CharField(max_length=64, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at", "id"], name="audit_of_time"),
            models.Index(fields=["request_id", "at", "id"], name="audit_of_request"),
            models.Index(fields=["object_id", "at", "id"], name="audit_of_object"),
            models.Index(fields=["who", "at", "id"], name="audit_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_name or self.object_id} {self.verb} by {self.who}"


class AuditLink(models.Model):
    """A link of the chain: `digest` is the SHA-256 of the link before it and of the record. Numbers have no gaps."""

    number = models.PositiveBigIntegerField(primary_key=True)
    record_id = models.PositiveBigIntegerField(unique=True)
    digest = models.CharField(max_length=64)
    chained_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number}: {self.digest}"
