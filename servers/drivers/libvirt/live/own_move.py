"""Whose move it is that a guest is in, and how it is ended."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Guest
from servers.drivers.libvirt import job, marks, whereabouts
from servers.drivers.libvirt.errors import JOB_OVER, forgiven
from servers.drivers.libvirt.marks import Mark, Way
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def announced(domain: libvirt.virDomain) -> Mark | None:
    """Return the mark of a live migration on a domain that runs, or None."""
    known = marks.read(domain, LIVE) if domain.isActive() else None
    return known if known is not None and known.way is Way.LIVE else None


def leaving(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> libvirt.virDomain | None:
    """Return the guest's domain while it leaves this host by our move, None where no such move runs.

    One that somebody has begun without Gantry is none of ours. Raises BelongsToAnother.
    """
    domain = domain_of(connection, guest.uuid)
    if domain is None or whereabouts.presence(connection, guest.uuid) is not Presence.LEAVING:
        return None
    mark = announced(domain)
    if mark is None:
        return None
    seat.require_own(guest, mark.owner)
    return domain


def abort(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> bool:
    """Ask our move of the guest to stop; return False where none runs. Raises BelongsToAnother."""
    domain = leaving(connection, seat, guest)
    if domain is not None:
        with forgiven(*JOB_OVER):
            domain.abortJob()
            return True
    return False


def can_be_forced(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> bool:
    """Return whether our move of the guest can be made to end soon.

    While disks are still being copied it cannot: the guest would stand still for as long as that takes.
    """
    domain = leaving(connection, seat, guest)
    return domain is not None and job.statistics(domain).get("memory_processed", 0) > 0


def force(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> bool:
    """Switch over now where post-copy was permitted, else pause the guest; return whether that was done."""
    domain = leaving(connection, seat, guest)
    if domain is None or not can_be_forced(connection, seat, guest):
        return False
    mark = announced(domain)
    with forgiven(*JOB_OVER):
        if mark is not None and mark.post_copy:
            domain.migrateStartPostCopy()
        else:
            domain.suspend()  # libvirt resumes it where it ends up
        return True
    return False
