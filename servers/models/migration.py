"""Moves of servers from host to host, in Nova's form."""

from __future__ import annotations

from typing import Self
from uuid import uuid4

from django.db import models

from servers import clock
from servers.models.machine import MigrationMachine
from servers.models.server import Server
from servers.states import IN_PROGRESS_LIVE, MigrationType


class MigrationQuerySet(models.QuerySet["Migration"]):
    """Moves."""

    def live_in_progress(self) -> Self:
        """Return the live migrations that Nova calls in progress."""
        return self.filter(migration_type=MigrationType.LIVE, status__in=sorted(IN_PROGRESS_LIVE))

    def newest_live_in_progress(self) -> Migration | None:
        """Return the newest of these that is such a live migration, or None."""
        return self.live_in_progress().order_by("-pk").first()


class Migration(MigrationMachine):
    """A move. Hosts are kept by name: the record outlives them."""

    objects = MigrationQuerySet.as_manager()

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="migrations")
    migration_type = models.CharField(max_length=16, choices=[(t.value, t.value) for t in MigrationType])
    user_id = models.CharField(max_length=64)
    project_id = models.CharField(max_length=64)
    source_compute = models.CharField(max_length=255)
    source_node = models.CharField(max_length=255)
    dest_compute = models.CharField(max_length=255, blank=True)
    dest_node = models.CharField(max_length=255, blank=True)
    dest_host = models.CharField(max_length=255, blank=True, help_text="Address of the destination.")
    old_vm_state = models.CharField(max_length=32, blank=True)
    old_flavor = models.PositiveBigIntegerField(null=True)
    new_flavor = models.PositiveBigIntegerField(null=True)
    hidden = models.BooleanField(default=False)
    statuses = models.JSONField(default=list, help_text="Every status in order.")

    memory_total_bytes = models.PositiveBigIntegerField(default=0)
    memory_processed_bytes = models.PositiveBigIntegerField(default=0)
    memory_remaining_bytes = models.PositiveBigIntegerField(default=0)
    disk_total_bytes = models.PositiveBigIntegerField(default=0)
    disk_processed_bytes = models.PositiveBigIntegerField(default=0)
    disk_remaining_bytes = models.PositiveBigIntegerField(default=0)
    iteration = models.PositiveIntegerField(default=0)
    rate_bytes_s = models.PositiveBigIntegerField(default=0)
    dirty_rate_bytes_s = models.PositiveBigIntegerField(default=0)
    throttle_percent = models.PositiveSmallIntegerField(default=0)
    progress_percent = models.PositiveSmallIntegerField(default=0)
    downtime_ms = models.PositiveIntegerField(null=True)

    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["source_compute", "status"], name="migration_source"),
            models.Index(fields=["dest_compute", "status"], name="migration_dest"),
        ]

    def __str__(self) -> str:
        return f"{self.migration_type} {self.pk} of {self.server_id}: {self.status}"

    @property
    def is_live(self) -> bool:
        """Return whether the guest runs while it is moved."""
        return self.migration_type == MigrationType.LIVE

    @property
    def is_live_in_progress(self) -> bool:
        """Return whether this is a live migration that Nova calls in progress."""
        return self.is_live and self.status in IN_PROGRESS_LIVE
