"""Making a new guest of a backup: its disk first, complete and verified, and then its definition."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress, Restore, Restored, Saved
from servers.drivers.libvirt import copied, describing, marks, notes, power, redefining
from servers.drivers.libvirt.backup import spare
from servers.drivers.libvirt.connections import own_connection
from servers.drivers.libvirt.errors import is_lost
from servers.drivers.libvirt.marks import Mark, Way
from servers.drivers.libvirt.notes import Note, Role, Stage, volume_name
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.restore.sending import Sending
from servers.drivers.libvirt.seat import Seat, domain_of
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
    """What is here for a guest that is made of a backup. A disk without a note belongs to a guest that is whole."""

    disk: Disk
    note: Note | None
    defined: bool = False
    runs: bool = False
    mark: Mark | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether all of the backup is in the disk, verified."""
        return self.note is None or self.note.stage is Stage.COMPLETE


class LibvirtRestore(Restore):
    """Making guests on one host. A note beside the new disk says how far it is, until the guest is whole."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def make(self, guest: Guest, saved: Saved, on_progress: OnProgress, *, power_on: bool) -> Restored:
        try:
            begun = self.seat.ask(VERB, lambda connection: begin(connection, self.seat, guest, saved))
            if begun.note is None and begun.defined:
                return self._made(guest, saved, begun.disk)
            definition = self._definition(guest, saved, begun.disk)
            note = begun.note if begun.is_complete else self._lay(guest, saved, begun.disk, on_progress)
            return self._finish(guest, saved, definition, begun.disk, note, power_on=power_on)
        except PASSED_ON:
            raise
        except DriverFault as fault:
            raise RestoreFailed(reason=str(fault)) from fault

    def discard(self, guest: Guest) -> None:
        verb, seat = "discard_restore", self.seat

        def left(connection: libvirt.virConnect) -> Begun | None:
            return removable(connection, seat, guest)

        def cut(connection: libvirt.virConnect) -> None:
            if left(connection) is not None:
                power.cut(connection.lookupByUUIDString(str(guest.uuid)))

        def remove_disk(connection: libvirt.virConnect) -> None:
            known = left(connection)
            if known is not None:
                volume = volume_at(connection, known.disk.path)
                if volume is not None:
                    volume.delete()
                notes.erase(connection, known.disk.pool, volume_name(known.disk))

        def undefine(connection: libvirt.virConnect) -> None:
            if left(connection) is not None:
                power.undefine(connection.lookupByUUIDString(str(guest.uuid)))

        known = seat.ask(verb, left)
        if known is None:
            return
        if known.runs:
            seat.ask(verb, cut, changes=True)
        # the one by which the next one knows that it is ours goes last
        last = [remove_disk, undefine] if known.note is None else [undefine, remove_disk]
        for change in last if known.defined else [remove_disk]:
            seat.ask(verb, change, changes=True)

    def _lay(self, guest: Guest, saved: Saved, disk: Disk, on_progress: OnProgress) -> Note:
        """Lay the new guest's disk; return its note, which says that it is complete and verified."""
        seat = self.seat
        facts = {"stage": Stage.COPYING, "attempt": notes.attempt()}
        note = notes.note(guest, Role.RESTORED, seat.ref, seat.owner, **facts)
        size = saved.size_bytes

        def make_room(connection: libvirt.virConnect) -> None:
            copied.make_room(connection, seat, guest, disk, note, size, "raw")

        def complete(connection: libvirt.virConnect) -> Note:
            notes.require(connection, disk, note)
            done = replace(note, stage=Stage.COMPLETE)
            notes.write(connection, disk.pool, volume_name(disk), done)
            return done

        seat.ask(VERB, make_room, changes=True)
        self._send(Sending(seat, guest, saved, disk, note), on_progress)
        return seat.ask(VERB, complete, changes=True)

    def _send(self, sending: Sending, on_progress: OnProgress) -> None:
        """Bring the backup there, verified. What on_progress raises stops it: it lives in this process."""

        def report() -> None:
            on_progress(sending.progress())

        def way() -> AbstractContextManager[libvirt.virConnect]:
            return own_connection(self.seat.ref.uri)

        try:
            name = f"restore of {sending.guest.name}"
            watched(self.seat, name, way, sending.run, report, changes=True)
            report()
        except BaseException:
            sending.stop.set()
            raise

    def _definition(self, guest: Guest, saved: Saved, disk: Disk) -> str:
        here = self.seat.ref
        mark = marks.mark(Way.MADE, here, self.seat.owner)
        device = saved.disk.device
        return redefining.new_definition(saved.definition, guest, here.domain_type, device, disk.path, mark)

    def _finish(
        self, guest: Guest, saved: Saved, definition: str, disk: Disk, note: Note | None, *, power_on: bool
    ) -> Restored:
        """Define the guest with its complete disk, start it if asked, and take the note off: it is whole."""
        seat = self.seat

        def define(connection: libvirt.virConnect) -> None:
            self._require(connection, disk, note)
            if domain_of(connection, guest.uuid) is None:
                connection.defineXML(definition)

        def start(connection: libvirt.virConnect) -> None:
            self._require(connection, disk, note)
            power.start(connection.lookupByUUIDString(str(guest.uuid)))

        seat.ask(VERB, define, changes=True)
        if power_on:
            seat.fence.prove_alone(guest, seat.ref.name)
            seat.ask(VERB, start, changes=True)
        made = self._made(guest, saved, disk)
        seat.ask(VERB, lambda c: notes.erase(c, disk.pool, volume_name(disk)), changes=True)
        return made

    def _require(self, connection: libvirt.virConnect, disk: Disk, note: Note | None) -> None:
        if note is not None:
            notes.require(connection, disk, note)

    def _made(self, guest: Guest, saved: Saved, disk: Disk) -> Restored:
        """Return the guest as it was made."""

        def look(connection: libvirt.virConnect) -> Restored:
            domain = connection.lookupByUUIDString(str(guest.uuid))
            found = laid(connection, domain, disk) or made_of(saved, disk)
            return Restored(found, power.state(domain))

        return self.seat.ask(VERB, look)


def disk_name(guest: Guest) -> str:
    return f"{guest.uuid}.qcow2"


def begin(connection: libvirt.virConnect, seat: Seat, guest: Guest, saved: Saved) -> Begun:
    """Return what an earlier try has begun, or where the new disk is to lie. Raises RestoreFailed, BelongsToAnother."""
    known = found(connection, guest) or made(connection, guest)
    if known is not None:
        require_own(seat, guest, known)
    if known is not None and known.is_complete and volume_at(connection, known.disk.path) is not None:
        return known
    if domain_of(connection, guest.uuid) is not None:
        raise RestoreFailed(reason=f"host {seat.ref.name} has guest {guest.name} already")
    disk = place_for(connection, guest, saved) if known is None else known.disk
    copied.require_room(connection, seat, guest, disk)
    empty = notes.note(guest, Role.RESTORED, seat.ref, seat.owner, stage=Stage.COPYING)
    return Begun(disk, empty)


def found(connection: libvirt.virConnect, guest: Guest) -> Begun | None:
    """Return what an earlier try has begun here for the guest, or None."""
    for pool in spare.file_pools(connection):
        note = notes.read(connection, pool.name(), disk_name(guest))
        if note is not None and note.role is Role.RESTORED and note.guest == str(guest.uuid):
            disk = Disk("", f"{spare.folder_of(pool)}/{disk_name(guest)}", pool.name(), 0, 0)
            return with_domain(connection, guest, Begun(disk, note))
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
    mark = marks.kept(domain)
    return replace(begun, defined=True, runs=bool(domain.isActive()), mark=mark)


def require_own(seat: Seat, guest: Guest, begun: Begun) -> None:
    """Raise BelongsToAnother where somebody else has begun it, or the guest is in another's hands by now."""
    for left in (begun.note, begun.mark):
        if left is not None:
            seat.require_own(guest, left.owner)


def removable(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> Begun | None:
    """Return what this owner has begun or made, None where there is nothing. Raises BelongsToAnother, DriverFault.

    A guest that an older version has made is whole without a mark, and stays.
    """
    known = found(connection, guest) or made(connection, guest)
    if known is None:
        return None
    require_own(seat, guest, known)
    is_marked = known.mark is not None and known.mark.is_ours(Way.MADE, seat.owner)
    if known.note is None and not is_marked:
        return None
    if known.runs and not is_marked:
        raise DriverFault(message=f"Guest {guest.name} runs on host {seat.ref.name}.")
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
    name = spare.roomy_pool(connection, saved.disk.pool, saved.size_bytes)
    pool = None if name is None else pool_named(connection, name)
    if name is None or pool is None:
        reason = f"no storage pool of files on host {connection.getHostname()} has {saved.size_bytes // spare.MIB} MiB free"
        raise RestoreFailed(reason=reason)
    return Disk(saved.disk.device, f"{spare.folder_of(pool)}/{disk_name(guest)}", name, 0, 0)
