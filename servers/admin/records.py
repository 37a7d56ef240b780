"""Servers and what was done to them: lists and pages to read."""

from __future__ import annotations

from django.contrib import admin

from servers.admin.base import RecordAdmin, RecordInline
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Image,
    Migration,
    NetworkInterface,
    Server,
    ServerDisk,
    Worker,
)


class DiskInline(RecordInline):
    model = ServerDisk
    fields = ("device", "pool", "path", "format", "size_bytes", "used_bytes")


class InterfaceInline(RecordInline):
    model = NetworkInterface
    fields = ("mac", "network", "addresses", "gateway", "routes", "dns")


class ActionInline(RecordInline):
    model = ActionRecord
    fields = ("name", "status", "user_name", "door", "created_at", "finished_at", "error_text")
    ordering = ("-created_at",)


@admin.register(Server)
class ServerAdmin(RecordAdmin):
    """Servers with their host, state and owner."""

    list_display = (
        "name",
        "status",
        "vm_state",
        "task_state",
        "power_state",
        "host",
        "project_id",
        "locked_by",
    )
    list_filter = ("vm_state", "task_state", "host", "locked_by")
    list_select_related = ("host",)
    search_fields = ("name", "uuid", "project_id", "host__name", "interfaces__addresses")
    inlines = (DiskInline, InterfaceInline, ActionInline)


class EventInline(RecordInline):
    model = ActionEvent
    fields = ("name", "host", "attempt", "result", "details", "started_at", "finished_at")
    ordering = ("-id",)


@admin.register(ActionRecord)
class ActionAdmin(RecordAdmin):
    """The task log: newest first."""

    list_display = (
        "created_at",
        "name",
        "server",
        "status",
        "user_name",
        "door",
        "progress_percent",
        "error_text",
    )
    list_filter = ("status", "name", "door", "created_at")
    list_select_related = ("server",)
    search_fields = ("request_id", "server__name", "server__uuid", "user_name")
    date_hierarchy = "created_at"
    exclude = ("sealed",)
    inlines = (EventInline,)


@admin.register(Migration)
class MigrationAdmin(RecordAdmin):
    """Moves from host to host, newest first."""

    list_display = (
        "id",
        "server",
        "migration_type",
        "status",
        "source_compute",
        "dest_compute",
        "progress_percent",
        "downtime_ms",
        "created_at",
    )
    list_filter = ("status", "migration_type", "source_compute", "dest_compute")
    list_select_related = ("server",)
    search_fields = ("uuid", "server__name", "server__uuid")


@admin.register(Allocation)
class AllocationAdmin(RecordAdmin):
    """Room that hosts have promised."""

    list_display = ("host", "server", "migration", "vcpus", "memory_mb", "disk_gb")
    list_filter = ("host",)
    list_select_related = ("host", "server", "migration")


@admin.register(Image)
class ImageAdmin(RecordAdmin):
    """Images: backups of servers for the most part."""

    list_display = ("name", "status", "backup_type", "server", "size_bytes", "project_id", "created_at")
    list_filter = ("status", "image_type", "backup_type", "protected")
    list_select_related = ("server",)
    search_fields = ("name", "uuid", "instance_uuid")


@admin.register(Worker)
class WorkerAdmin(RecordAdmin):
    """Who carries actions out, and when it was last heard of."""

    list_display = ("name", "processes", "started_at", "seen_at")
