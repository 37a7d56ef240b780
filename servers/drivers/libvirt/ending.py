"""Making a running migration end soon."""

from __future__ import annotations

import time

import libvirt

from servers.drivers.base import HostRef
from servers.drivers.libvirt import job, marks
from servers.drivers.libvirt.errors import JOB_OVER, forgiven
from servers.errors import DriverFault


def force(domain: libvirt.virDomain, host: HostRef, patience_s: float) -> bool:
    """Switch over now where post-copy was permitted, else pause the guest; return False when it is over anyway.

    Raises DriverFault while disks are still being copied: the guest would stand still for as long as that takes.
    """
    end = time.monotonic() + patience_s
    while stats := job.statistics(domain):
        if stats.get("memory_processed", 0) > 0:
            return _switch(domain)
        if time.monotonic() > end:
            raise DriverFault(
                message=f"The disks are still being copied from {host.name}; force the move when its memory is."
            )
        time.sleep(0.2)
    return False


def _switch(domain: libvirt.virDomain) -> bool:
    mark = marks.read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    with forgiven(*JOB_OVER):
        if mark is not None and mark.post_copy:
            domain.migrateStartPostCopy()
        else:
            domain.suspend()  # libvirt resumes it where it ends up
        return True
    return False
