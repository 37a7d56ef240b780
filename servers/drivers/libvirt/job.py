"""The job of a domain: what it is, and how far."""

from __future__ import annotations

from typing import Any

import libvirt

from servers.drivers.base import JobKind, Progress
from servers.drivers.libvirt.errors import JOB_OVER, forgiven

KINDS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: JobKind.LIVE_MIGRATION,
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: JobKind.BACKUP,
}

Stats = dict[str, Any]
INCOMING: Stats = {"operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN}


def statistics(domain: libvirt.virDomain) -> Stats:
    """Return the running job's statistics, empty where there is none: also in the moment in which one ends.

    A domain that is still being filled has none either, but its host says so.
    """
    with forgiven(*JOB_OVER, libvirt.VIR_ERR_NO_SUPPORT):
        try:
            found: Stats = domain.jobStats()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
                return INCOMING  # "migration statistics are available only on the source host"
            raise
        return found if found.get("type", libvirt.VIR_DOMAIN_JOB_NONE) else {}
    return {}


def kind(stats: Stats) -> JobKind | None:
    """Return which of our jobs it is, None for none and for libvirt's own short ones."""
    return KINDS.get(stats.get("operation", libvirt.VIR_DOMAIN_JOB_OPERATION_UNKNOWN))


def is_incoming(stats: Stats) -> bool:
    """Return whether the domain is still being filled from another host."""
    return bool(stats) and stats.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN


def progress(stats: Stats) -> Progress:
    """Return how far the job is."""
    return Progress(
        memory_total_bytes=stats.get("memory_total", 0),
        memory_processed_bytes=stats.get("memory_processed", 0),
        memory_remaining_bytes=stats.get("memory_remaining", 0),
        disk_total_bytes=stats.get("disk_total", 0),
        disk_processed_bytes=stats.get("disk_processed", 0),
        disk_remaining_bytes=stats.get("disk_remaining", 0),
        iteration=stats.get("memory_iteration", 0),
        rate_bytes_s=stats.get("memory_bps", 0) + stats.get("disk_bps", 0),
        dirty_rate_bytes_s=stats.get("memory_dirty_rate", 0) * stats.get("memory_page_size", 0),
        throttle_percent=stats.get("auto_converge_throttle", 0),
    )
