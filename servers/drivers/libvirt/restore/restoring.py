"""Making a new guest of a backup: its disk first, complete and verified, and then its definition."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress, Restore, Restored, Saved
from servers.drivers.libvirt import copied, describing, domain_metadata, power, redefining, volume_sidecar
from servers.drivers.libvirt.backup import scratch_volume
from servers.drivers.libvirt.connections import own_connection
from servers.drivers.libvirt.domain_metadata import Direction, MigrationMetadata
from servers.drivers.libvirt.errors import is_lost
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.restore.sending import Sending
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar, Stage, volume_name
from servers.drivers.libvirt.watched import watched
from servers.errors import (
    BelongsToAnother,
    DriverFault,
    GuestOnTwoHosts,
    HypervisorTimeout,
    HypervisorUnavailable,
    NotSupported,
    RestoreFailed,
)

PASSED_ON = (
    BelongsToAnother,
    GuestOnTwoHosts,
    HypervisorTimeout,
    HypervisorUnavailable,
    NotSupported,
    RestoreFailed,
)
VERB = "restore"


@dataclass(frozen=True)
class Begun:
    """What is here for a guest that is made of a backup. A disk without a sidecar belongs to a guest that is whole."""

    disk: Disk
    sidecar: Sidecar | None
    defined: bool = False
    runs: bool = False
    metadata: MigrationMetadata | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether all of the backup is in the disk, verified."""
        return self.sidecar is None or self.sidecar.stage is Stage.COMPLETE


class LibvirtRestore(Restore):
    """Making guests on one host. A sidecar beside the new disk says how far it is, until the guest is whole."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def make(self, guest: Guest, saved: Saved, on_progress: OnProgress, *, power_on: bool) -> Restored:
        try:
            begun = self.session.ask(VERB, lambda connection: begin(connection, self.session, guest, saved))
            if begun.sidecar is None and begun.defined:
                return self._made(guest, saved, begun.disk)
            definition = self._definition(guest, saved, begun.disk)
            sidecar = begun.sidecar if begun.is_complete else self._lay(guest, saved, begun.disk, on_progress)
            return self._finish(guest, saved, definition, begun.disk, sidecar, power_on=power_on)
        except PASSED_ON:
            raise
        except DriverFault as fault:
            raise RestoreFailed(reason=str(fault)) from fault

    def discard(self, guest: Guest) -> None:
        verb, session = "discard_restore", self.session

        def left(connection: libvirt.virConnect) -> Begun | None:
            return removable(connection, session, guest)

        def cut(connection: libvirt.virConnect) -> None:
            if left(connection) is not None:
                power.cut(connection.lookupByUUIDString(str(guest.uuid)))

        def remove_disk(connection: libvirt.virConnect) -> None:
            known = left(connection)
            if known is not None:
                volume = volume_at(connection, known.disk.path)
                if volume is not None:
                    volume.delete()
                volume_sidecar.erase(connection, known.disk.pool, volume_name(known.disk))

        def undefine(connection: libvirt.virConnect) -> None:
            if left(connection) is not None:
                power.undefine(connection.lookupByUUIDString(str(guest.uuid)))

        known = session.ask(verb, left)
        if known is None:
            return
        if known.runs:
            session.ask(verb, cut, changes=True)
        # the one by which the next one knows that it is ours goes last
        last = [remove_disk, undefine] if known.sidecar is None else [undefine, remove_disk]
        for change in last if known.defined else [remove_disk]:
            session.ask(verb, change, changes=True)

    def _lay(self, guest: Guest, saved: Saved, disk: Disk, on_progress: OnProgress) -> Sidecar:
        """Lay the new guest's disk; return its sidecar, which says that it is complete and verified."""
        session = self.session
        facts = {"stage": Stage.COPYING, "attempt": volume_sidecar.attempt()}
        sidecar = volume_sidecar.of_disk(guest, Role.RESTORED, session.ref, session.owner, **facts)
        size = saved.size_bytes

        def make_room(connection: libvirt.virConnect) -> None:
            copied.make_room(connection, session, guest, disk, sidecar, size, "raw")

        def complete(connection: libvirt.virConnect) -> Sidecar:
            volume_sidecar.require(connection, disk, sidecar)
            done = replace(sidecar, stage=Stage.COMPLETE)
            volume_sidecar.write(connection, disk.pool, volume_name(disk), done)
            return done

        session.ask(VERB, make_room, changes=True)
        self._send(Sending(session, guest, saved, disk, sidecar), on_progress)
        return session.ask(VERB, complete, changes=True)

    def _send(self, sending: Sending, on_progress: OnProgress) -> None:
        """Bring the backup there, verified. What on_progress raises stops it: it lives in this process."""

        def report() -> None:
            on_progress(sending.progress())

        def way() -> AbstractContextManager[libvirt.virConnect]:
            return own_connection(self.session.ref.uri)

        try:
            name = f"restore of {sending.guest.name}"
            watched(self.session, name, way, sending.run, report, changes=True)
            report()
        except BaseException:
            sending.stop.set()
            raise

    def _definition(self, guest: Guest, saved: Saved, disk: Disk) -> str:
        here = self.session.ref
        metadata = domain_metadata.of_move(Direction.MADE, here, self.session.owner)
        device = saved.disk.device
        return redefining.new_definition(
            saved.definition, guest, here.domain_type, device, disk.path, metadata
        )

    def _finish(
        self,
        guest: Guest,
        saved: Saved,
        definition: str,
        disk: Disk,
        sidecar: Sidecar | None,
        *,
        power_on: bool,
    ) -> Restored:
        """Define the guest with its complete disk, start it if asked, and take the sidecar off: it is whole."""
        session = self.session

        def define(connection: libvirt.virConnect) -> None:
            self._require(connection, disk, sidecar)
            if domain_of(connection, guest.uuid) is None:
                connection.defineXML(definition)

        def start(connection: libvirt.virConnect) -> None:
            self._require(connection, disk, sidecar)
            power.start(connection.lookupByUUIDString(str(guest.uuid)))

        session.ask(VERB, define, changes=True)
        if power_on:
            session.fence.prove_alone(guest, session.ref.name)
            session.ask(VERB, start, changes=True)
        made = self._made(guest, saved, disk)
        session.ask(VERB, lambda c: volume_sidecar.erase(c, disk.pool, volume_name(disk)), changes=True)
        return made

    def _require(self, connection: libvirt.virConnect, disk: Disk, sidecar: Sidecar | None) -> None:
        if sidecar is not None:
            volume_sidecar.require(connection, disk, sidecar)

    def _made(self, guest: Guest, saved: Saved, disk: Disk) -> Restored:
        """Return the guest as it was made."""

        def look(connection: libvirt.virConnect) -> Restored:
            domain = connection.lookupByUUIDString(str(guest.uuid))
            found = laid(connection, domain, disk) or made_of(saved, disk)
            return Restored(found, power.state(domain))

        return self.session.ask(VERB, look)


def disk_name(guest: Guest) -> str:
    return f"{guest.uuid}.qcow2"


def begin(connection: libvirt.virConnect, session: HostSession, guest: Guest, saved: Saved) -> Begun:
    """Return what an earlier try has begun, or where the new disk is to lie. Raises RestoreFailed, BelongsToAnother."""
    known = found(connection, guest) or made(connection, guest)
    if known is not None:
        require_own(session, guest, known)
    if known is not None and known.is_complete and volume_at(connection, known.disk.path) is not None:
        return known
    if domain_of(connection, guest.uuid) is not None:
        raise RestoreFailed(reason=f"host {session.ref.name} has guest {guest.name} already")
    disk = place_for(connection, guest, saved) if known is None else known.disk
    copied.require_room(connection, session, guest, disk)
    empty = volume_sidecar.of_disk(guest, Role.RESTORED, session.ref, session.owner, stage=Stage.COPYING)
    return Begun(disk, empty)


def found(connection: libvirt.virConnect, guest: Guest) -> Begun | None:
    """Return what an earlier try has begun here for the guest, or None."""
    for pool in scratch_volume.file_pools(connection):
        sidecar = volume_sidecar.read(connection, pool.name(), disk_name(guest))
        if sidecar is not None and sidecar.role is Role.RESTORED and sidecar.guest == str(guest.uuid):
            disk = Disk("", f"{scratch_volume.folder_of(pool)}/{disk_name(guest)}", pool.name(), 0, 0)
            return with_domain(connection, guest, Begun(disk, sidecar))
    return None


def made(connection: libvirt.virConnect, guest: Guest) -> Begun | None:
    """Return what is here of a guest that was made here before, None where it was not."""
    domain = domain_of(connection, guest.uuid)
    disks = () if domain is None else describing.found_guest(connection, domain).disks
    ours = next((disk for disk in disks if volume_name(disk) == disk_name(guest)), None)
    return None if ours is None else with_domain(connection, guest, Begun(ours, None))


def with_domain(connection: libvirt.virConnect, guest: Guest, begun: Begun) -> Begun:
    """Return what is here with how it is defined."""
    domain = domain_of(connection, guest.uuid)
    if domain is None:
        return begun
    metadata = domain_metadata.kept(domain)
    return replace(begun, defined=True, runs=bool(domain.isActive()), metadata=metadata)


def require_own(session: HostSession, guest: Guest, begun: Begun) -> None:
    """Raise BelongsToAnother where somebody else has begun it, or the guest is in another's hands by now."""
    for left in (begun.sidecar, begun.metadata):
        if left is not None:
            session.require_own(guest, left.owner)


def removable(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> Begun | None:
    """Return what this owner has begun or made, None where there is nothing. Raises BelongsToAnother, DriverFault.

    A guest that an older version has made is whole without metadata, and stays.
    """
    known = found(connection, guest) or made(connection, guest)
    if known is None:
        return None
    require_own(session, guest, known)
    is_marked = known.metadata is not None and known.metadata.is_ours(Direction.MADE, session.owner)
    if known.sidecar is None and not is_marked:
        return None
    if known.runs and not is_marked:
        raise DriverFault(message=f"Guest {guest.name} runs on host {session.ref.name}.")
    return known


def laid(connection: libvirt.virConnect, domain: libvirt.virDomain, disk: Disk) -> Disk | None:
    """Return the new guest's disk as its host has it, None where its host does not say: the guest is made all the same."""
    try:
        disks = describing.found_guest(connection, domain).disks
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return None
    return next((found for found in disks if found.path == disk.path), None)


def made_of(saved: Saved, disk: Disk) -> Disk:
    """Return the new guest's disk as it was made."""
    return replace(saved.disk, path=disk.path, pool=disk.pool, format="qcow2")


def place_for(connection: libvirt.virConnect, guest: Guest, saved: Saved) -> Disk:
    """Return where the new disk is to lie: in the pool of the saved one's name, else in the one with most room.

    Raises RestoreFailed where none has room.
    """
    name = scratch_volume.roomy_pool(connection, saved.disk.pool, saved.size_bytes)
    pool = None if name is None else pool_named(connection, name)
    if name is None or pool is None:
        reason = f"no storage pool of files on host {connection.getHostname()} has {saved.size_bytes // scratch_volume.MIB} MiB free"
        raise RestoreFailed(reason=reason)
    return Disk(saved.disk.device, f"{scratch_volume.folder_of(pool)}/{disk_name(guest)}", name, 0, 0)
