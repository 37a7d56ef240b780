"""libvirt's backup job: from a running guest's disk into a scratch volume, or a copy of the disk of one that is off."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import definitions, job
from servers.drivers.libvirt.backup import freezing, scratch_volume
from servers.drivers.libvirt.backup.scratch_volume import BackupScratch
from servers.drivers.libvirt.errors import JOB_OVER, ignore_libvirt_errors
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.volume_sidecar import Stage
from servers.errors import BackupFailed

CRASHED = frozenset(
    {
        libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,
        libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED,
        libvirt.VIR_DOMAIN_SHUTOFF_FAILED,
        libvirt.VIR_DOMAIN_SHUTOFF_SAVED,
    }
)
"""Why a guest can be off without having closed its file systems."""


@dataclass(frozen=True)
class Ended:
    """How libvirt's job has ended; `reason` is empty when all of the disk was copied."""

    reason: str = ""


def begin(connection: libvirt.virConnect, guest: Guest, disk: Disk, empty: BackupScratch) -> BackupScratch:
    """Start the job of a guest that has a process, its file systems frozen for that moment where they can be.

    Raises DriverFault where they may be frozen still.
    """
    empty.require(connection)
    domain = connection.lookupByUUIDString(str(guest.uuid))
    path = scratch_volume.make(connection, empty, domain.blockInfo(disk.device)[0])
    freezes = freezing.can_freeze(domain)
    begun = empty.write(connection, stage=Stage.FREEZING) if freezes else empty
    with freezing.frozen(domain) if freezes else nullcontext(enter_result=False) as consistent:
        domain.backupBegin(_job_xml(domain, disk, path), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)
    return begun.write(connection, stage=Stage.COPYING, consistent=consistent)


def _job_xml(domain: libvirt.virDomain, disk: Disk, path: str) -> str:
    """Return what libvirt is to copy: this one disk, in full."""
    others = (source.device for source in definitions.disks(definitions.parse(domain.XMLDesc())))
    wanted = E.disk(E.driver(type="qcow2"), E.target(file=path), name=disk.device, type="file", backup="yes")
    disks = E.disks(wanted, *(E.disk(name=name, backup="no") for name in others if name != disk.device))
    return str(etree.tostring(E.domainbackup(disks, mode="push"), encoding="unicode"))


def clone(connection: libvirt.virConnect, guest: Guest, disk: Disk, empty: BackupScratch) -> bool:
    """Copy the disk of a guest that is off; return, when that is done, whether its file systems had been closed.

    qemu's lock keeps the guest off meanwhile.
    """
    empty.require(connection)
    domain = connection.lookupByUUIDString(str(guest.uuid))
    pool, original = pool_named(connection, empty.pool), volume_at(connection, disk.path)
    if pool is None or original is None:
        raise BackupFailed(reason=f"{disk.path} is in no storage pool of host {connection.getHostname()}")
    consistent = not domain.hasManagedSaveImage() and domain.state()[1] not in CRASHED
    pool.createXMLFrom(scratch_volume.xml(empty, disk.size_bytes), original)
    if domain.isActive():
        raise BackupFailed(reason="the guest was started while its disk was copied")
    return consistent


def statistics(connection: libvirt.virConnect, guest: Guest, of: BackupScratch) -> Stats | Ended:
    """Return how far the job into this scratch volume is, or how it has ended."""
    domain = domain_of(connection, guest.uuid)
    if domain is None or not domain.isActive():
        return Ended("the guest has stopped")
    stats = job.statistics(domain)
    if stats and is_running(connection, guest, of):
        return stats
    return _ended(domain)


def is_running(connection: libvirt.virConnect, guest: Guest, into: BackupScratch) -> bool:
    """Return whether a job writes into this scratch volume, and not into somebody else's.

    Where its pool does not tell its path the name decides: a pool that is away ends no job.
    """
    domain, volume = domain_of(connection, guest.uuid), into.volume(connection)
    if domain is None:
        return False
    with ignore_libvirt_errors(*JOB_OVER, libvirt.VIR_ERR_NO_DOMAIN_BACKUP):
        tree = definitions.parse(domain.backupGetXMLDesc())
        written = [target.get("file", "") for target in tree.iterfind("disks/disk/target")]
        if volume is None:
            return into.name in {path.rpartition("/")[2] for path in written}
        return volume.path() in written
    return False


def _ended(domain: libvirt.virDomain) -> Ended:
    stats = job.completed(domain)
    if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return Ended("the host does not know any more what became of the job")
    if stats.get("success"):
        return Ended()
    return Ended(str(stats.get("errmsg") or "the host gave the job up"))


def abort(connection: libvirt.virConnect, guest: Guest, left: BackupScratch) -> None:
    """Thaw the guest if that may have been left out, and ask a job into this volume to stop. Raises DriverFault.

    An agent that does not thaw keeps no job running.
    """
    domain = domain_of(connection, guest.uuid)
    if domain is None:
        return
    try:
        thawed(connection, guest, left)
    finally:
        if is_running(connection, guest, left):
            with ignore_libvirt_errors(*JOB_OVER):
                domain.abortJob()


def thawed(connection: libvirt.virConnect, guest: Guest, left: BackupScratch) -> BackupScratch:
    """Thaw the guest if that may have been left out; return the copy as it is noted then. Raises DriverFault."""
    if left.sidecar.stage is not Stage.FREEZING:
        return left
    freezing.thaw(connection.lookupByUUIDString(str(guest.uuid)))
    return left.write(connection, stage=Stage.COPYING)


def is_usable(connection: libvirt.virConnect, guest: Guest, known: BackupScratch) -> bool:
    """Return whether a copy is complete, or a job writes it."""
    if known.sidecar.stage is Stage.COMPLETE and known.volume(connection) is not None:
        return True
    return is_running(connection, guest, known)


def require_idle(connection: libvirt.virConnect, guest: Guest) -> None:
    """Raise BackupFailed where another job runs for the guest."""
    domain = domain_of(connection, guest.uuid)
    if domain is None:
        return
    stats = job.statistics(domain)
    if stats:
        raise BackupFailed(reason=f"another job runs for the guest ({job.kind(stats) or 'of libvirt'})")


def gone(connection: libvirt.virConnect, guest: Guest, left: BackupScratch) -> bool:
    """Remove the volume once no job writes into it any more; return whether it is gone."""
    return not is_running(connection, guest, left) and scratch_volume.remove(connection, left)


def own(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> BackupScratch | None:
    """Return what is here for a backup of the guest, None where nothing is. Raises BelongsToAnother."""
    left = scratch_volume.find(connection, guest)
    if left is not None:
        session.require_own(guest, left.sidecar.owner)
    return left


def discarded(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> bool:
    """Stop what runs for a backup of the guest; return whether nothing is left of it. Raises BelongsToAnother."""
    left = own(connection, session, guest)
    if left is None:
        return True
    abort(connection, guest, left)
    return gone(connection, guest, left)
