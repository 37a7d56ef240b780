"""Making a running migration end soon."""

from __future__ import annotations

import libvirt

from servers.drivers.libvirt import job, marks
from servers.drivers.libvirt.errors import JOB_OVER, forgiven


def force(domain: libvirt.virDomain) -> bool:
    """Switch over now where post-copy was permitted, else pause the guest; return whether that was done.

    While disks are still being copied it is not: the guest would stand still for as long as that takes.
    """
    if job.statistics(domain).get("memory_processed", 0) == 0:
        return False
    mark = marks.read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    with forgiven(*JOB_OVER):
        if mark is not None and mark.post_copy:
            domain.migrateStartPostCopy()
        else:
            domain.suspend()  # libvirt resumes it where it ends up
        return True
    return False
