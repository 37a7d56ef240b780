"""The job of a domain: what it is, and how far."""

from __future__ import annotations

from typing import Any

import libvirt

from servers.drivers.base import JobKind, Progress
from servers.drivers.libvirt.answers import counter
from servers.drivers.libvirt.errors import JOB_OVER, Unreadable, ignore_libvirt_errors
from servers.drivers.limits import AMOUNT, BYTES

KINDS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: JobKind.LIVE_MIGRATION,
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: JobKind.BACKUP,
}

Stats = dict[str, Any]
INCOMING: Stats = {"operation": libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN}


def statistics(domain: libvirt.virDomain) -> Stats:
    """Return the running job's statistics, empty where there is none: also in the moment in which one ends.

    A domain that is still being filled has none either, but its host says so. Raises Unreadable.
    """
    with ignore_libvirt_errors(*JOB_OVER, libvirt.VIR_ERR_NO_SUPPORT):
        try:
            found = domain.jobStats()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
                return INCOMING  # "migration statistics are available only on the source host"
            raise
        return read(found) if read(found).get("type", libvirt.VIR_DOMAIN_JOB_NONE) else {}
    return {}


def completed(domain: libvirt.virDomain) -> Stats:
    """Return the statistics of the last job that ended, empty where its host does not know any. Raises Unreadable."""
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    with ignore_libvirt_errors(*JOB_OVER):
        return read(domain.jobStats(flags))
    return {}


def read(found: object) -> Stats:
    if not isinstance(found, dict):
        raise Unreadable("statistics of a job that are none")
    return found


def kind(stats: Stats) -> JobKind | None:
    """Return which of our jobs it is, None for none and for libvirt's own short ones."""
    return KINDS.get(counter(stats, "operation"))


def is_incoming(stats: Stats) -> bool:
    """Return whether the domain is still being filled from another host."""
    return bool(stats) and stats.get("operation") == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN


def progress(stats: Stats) -> Progress:
    """Return how far the job is."""
    dirty_rate = counter(stats, "memory_dirty_rate") * counter(stats, "memory_page_size")
    return Progress(
        memory_total_bytes=counter(stats, "memory_total"),
        memory_processed_bytes=counter(stats, "memory_processed"),
        memory_remaining_bytes=counter(stats, "memory_remaining"),
        disk_total_bytes=counter(stats, "disk_total"),
        disk_processed_bytes=counter(stats, "disk_processed"),
        disk_remaining_bytes=counter(stats, "disk_remaining"),
        iteration=counter(stats, "memory_iteration", AMOUNT),
        rate_bytes_s=min(counter(stats, "memory_bps") + counter(stats, "disk_bps"), BYTES),
        dirty_rate_bytes_s=min(dirty_rate, BYTES),
        throttle_percent=counter(stats, "auto_converge_throttle", 100),
    )
