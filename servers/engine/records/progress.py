"""The progress of a move, kept with its migration; the percentage never falls."""

from __future__ import annotations

from dataclasses import asdict

from servers.drivers.base import Progress
from servers.models import Migration


def percent_done(progress: Progress) -> int:
    """Return how many percent of a job are done, by memory and disks together: Nova's 100 - remaining %.

    0 while the hypervisor has reported no total.
    """
    total = progress.memory_total_bytes + progress.disk_total_bytes
    remaining = progress.memory_remaining_bytes + progress.disk_remaining_bytes
    return max(0, min(100, 100 - round(100 * remaining / total))) if total else 0


def keep(migration: Migration, progress: Progress) -> None:
    """Write the counters that a hypervisor reports of a move to its migration; the caller locks the row."""
    counters = asdict(progress)
    for name, value in counters.items():
        setattr(migration, name, value)
    migration.progress_percent = max(migration.progress_percent, percent_done(progress))
    migration.store(*counters, "progress_percent")


def complete(migration: Migration) -> list[str]:
    """Set the counters of a completed migration to their end; return the changed fields.

    The caller writes them. The hypervisor's last report came before the end of the move.
    """
    fields = ["progress_percent"]
    for part in ("memory", "disk"):
        total = getattr(migration, f"{part}_total_bytes")
        processed = getattr(migration, f"{part}_processed_bytes")
        setattr(migration, f"{part}_processed_bytes", max(total, processed))
        setattr(migration, f"{part}_remaining_bytes", 0)
        fields += [f"{part}_processed_bytes", f"{part}_remaining_bytes"]
    migration.progress_percent = 100
    return fields
