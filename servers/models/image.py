"""Records of images; their bytes lie in the image store."""

from __future__ import annotations

from uuid import uuid4

from django.db import models

from servers import clock
from servers.models.machine import ImageMachine
from servers.models.server import Server


class Image(ImageMachine):
    """An image, most often a backup. Rotation counts by `server` and `backup_type`, which no caller can override."""

    uuid = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=255)
    project_id = models.CharField(max_length=64, db_index=True)
    user_id = models.CharField(max_length=64)
    server = models.ForeignKey(
        Server, null=True, blank=True, on_delete=models.SET_NULL, related_name="images"
    )
    instance_uuid = models.UUIDField(null=True, blank=True, db_index=True)
    image_type = models.CharField(max_length=32, default="backup", db_index=True)
    backup_type = models.CharField(max_length=255, blank=True, db_index=True)
    visibility = models.CharField(max_length=16, default="private")
    protected = models.BooleanField(default=False)
    disk_format = models.CharField(max_length=16, default="qcow2")
    container_format = models.CharField(max_length=16, default="bare")
    min_disk = models.PositiveIntegerField(default=0)
    min_ram = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    virtual_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    consistent = models.BooleanField(null=True)
    driver = models.CharField(max_length=32, blank=True, help_text="Driver of the host on which it was made.")
    definition = models.TextField(
        blank=True, help_text="What the guest was, in its driver's words; empty: it cannot be restored."
    )
    properties = models.JSONField(default=dict, blank=True)
    never_uploaded = models.BooleanField(
        default=False, help_text="Made for rotation 0: there is nothing in it."
    )
    created_at = models.DateTimeField(default=clock.now, db_index=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    discarded_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the store has let go of the bytes; empty while they may be left.",
    )

    class Meta:
        ordering = ["-created_at", "-uuid"]
        indexes = [models.Index(fields=["server", "backup_type", "status"], name="image_rotation")]

    def __str__(self) -> str:
        return self.name
