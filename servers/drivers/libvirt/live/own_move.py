"""Whose move it is that a guest is in, and how it is ended."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Guest
from servers.drivers.libvirt import domain_metadata, guest_presence, job
from servers.drivers.libvirt.domain_metadata import Direction, MigrationMetadata
from servers.drivers.libvirt.errors import JOB_OVER, ignore_libvirt_errors
from servers.drivers.libvirt.guest_presence import Presence
from servers.drivers.libvirt.host_session import HostSession, domain_of

LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def announced(domain: libvirt.virDomain) -> MigrationMetadata | None:
    """Return the metadata of a live migration on a domain that runs, or None."""
    known = domain_metadata.read(domain, LIVE) if domain.isActive() else None
    return known if known is not None and known.way is Direction.LIVE else None


def leaving(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> libvirt.virDomain | None:
    """Return the guest's domain while it leaves this host by our move, None where no such move runs.

    One that somebody has begun without Gantry is none of ours. Raises BelongsToAnother.
    """
    domain = domain_of(connection, guest.uuid)
    if domain is None or guest_presence.presence(connection, guest.uuid) is not Presence.LEAVING:
        return None
    metadata = announced(domain)
    if metadata is None:
        return None
    session.require_own(guest, metadata.owner)
    return domain


def abort(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> bool:
    """Ask our move of the guest to stop; return False where none runs. Raises BelongsToAnother."""
    domain = leaving(connection, session, guest)
    if domain is not None:
        with ignore_libvirt_errors(*JOB_OVER):
            domain.abortJob()
            return True
    return False


def can_be_forced(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> bool:
    """Return whether our move of the guest can be made to end soon.

    While disks are still being copied it cannot: the guest would stand still for as long as that takes.
    """
    domain = leaving(connection, session, guest)
    return domain is not None and job.statistics(domain).get("memory_processed", 0) > 0


def force(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> bool:
    """Switch over now where post-copy was permitted, else pause the guest; return whether that was done."""
    domain = leaving(connection, session, guest)
    if domain is None or not can_be_forced(connection, session, guest):
        return False
    metadata = announced(domain)
    with ignore_libvirt_errors(*JOB_OVER):
        if metadata is not None and metadata.post_copy:
            domain.migrateStartPostCopy()
        else:
            domain.suspend()  # libvirt resumes it where it ends up
        return True
    return False
