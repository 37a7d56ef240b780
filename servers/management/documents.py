"""An action as one JSON document, for `--json`."""

from __future__ import annotations

from typing import Any

from servers.management.exit_codes import ExitCode
from servers.models import ActionEvent, ActionRecord, Migration


def of_record(record: ActionRecord, exit_code: ExitCode) -> dict[str, Any]:
    """Return the action with its events, its migration and its image."""
    error = {"code": record.error_code, "text": record.error_text} if record.error_code else None
    return {
        "request_id": record.request_id,
        "action": record.name,
        "slug": record.slug,
        "server": str(record.server_id),
        "status": record.status,
        "error": error,
        "microversion": record.microversion,
        "params": record.params,
        "result": record.result,
        "progress_percent": record.progress_percent,
        "image_id": str(record.image_id) if record.image_id else None,
        "migration": _of_migration(record.migration) if record.migration else None,
        "events": [_of_event(event) for event in record.events.all()],
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "exit_code": exit_code.value,
    }


def _of_migration(migration: Migration) -> dict[str, Any]:
    names = (
        "id",
        "status",
        "migration_type",
        "source_compute",
        "dest_compute",
        "memory_total_bytes",
        "memory_processed_bytes",
        "memory_remaining_bytes",
        "disk_total_bytes",
        "disk_processed_bytes",
        "disk_remaining_bytes",
        "rate_bytes_s",
        "downtime_ms",
    )
    return {name: getattr(migration, name) for name in names}


def _of_event(event: ActionEvent) -> dict[str, Any]:
    names = ("name", "host", "result", "code", "details", "started_at", "finished_at")
    return {name: getattr(event, name) for name in names}
