"""Making a new guest of a backup: its disk first, complete and verified, and then its definition."""

from __future__ import annotations

from dataclasses import replace

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress, Restore, Restored, Saved
from servers.drivers.libvirt import copied, describing, notes, power, redefining
from servers.drivers.libvirt.backup import spare
from servers.drivers.libvirt.errors import is_lost
from servers.drivers.libvirt.notes import Role, Stage, volume_name
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.restore.sending import Sending
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.watched import watched
from servers.errors import (
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
    RestoreFailed,
)

PASSED_ON = (RestoreFailed, HypervisorTimeout, HypervisorUnavailable)


class LibvirtRestore(Restore):
    """Making guests on one host. A note beside the new disk says how far it is, until the guest is whole."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def make(self, guest: Guest, saved: Saved, on_progress: OnProgress, *, power_on: bool) -> Restored:
        try:
            disk = self._lay(guest, saved, on_progress)
            return self.seat.ask(
                "restore",
                lambda connection: self._define(connection, guest, saved, disk, power_on=power_on),
                changes=True,
            )
        except PASSED_ON:
            raise
        except DriverFault as fault:
            raise RestoreFailed(reason=str(fault)) from fault

    def discard(self, guest: Guest) -> None:
        def remove(connection: libvirt.virConnect) -> None:
            left = found(connection, guest)
            domain = domain_of(connection, guest.uuid)
            if left is None:
                return
            if domain is not None and domain.isActive():
                raise DriverFault(message=f"Guest {guest.name} runs on host {self.seat.ref.name}.")
            if domain is not None:
                domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
            notes.remove_disks(connection, replace(guest, disks=(left,)), Role.RESTORED)

        self.seat.ask("discard_restore", remove, changes=True)

    def _lay(self, guest: Guest, saved: Saved, on_progress: OnProgress) -> Disk:
        """Return the new guest's disk, complete and verified; it may be there from an earlier try."""

        def begin(connection: libvirt.virConnect) -> tuple[Disk, bool]:
            known = found(connection, guest) or made(connection, guest)
            if known is not None and is_complete(connection, known):
                return known, True
            if domain_of(connection, guest.uuid) is not None:
                reason = f"host {self.seat.ref.name} has guest {guest.name} already"
                raise RestoreFailed(reason=reason)
            disk = known or place_for(connection, guest, saved)
            note = notes.note(guest, Role.RESTORED, self.seat.ref, stage=Stage.COPYING)
            copied.make_room(connection, disk, note, saved.size_bytes, "raw")
            return disk, False

        disk, complete = self.seat.ask("restore", begin, changes=True)
        if not complete:
            self._send(Sending(self.seat, guest, saved, disk), on_progress)
            note = notes.note(guest, Role.RESTORED, self.seat.ref, stage=Stage.COMPLETE)
            self.seat.ask(
                "restore",
                lambda connection: notes.write(connection, disk.pool, volume_name(disk), note),
                changes=True,
            )
        return disk

    def _send(self, sending: Sending, on_progress: OnProgress) -> None:
        """Bring the backup there, verified. What on_progress raises stops it: it lives in this process."""

        def report() -> None:
            on_progress(sending.progress())

        try:
            watched(self.seat, f"restore of {sending.guest.name}", sending.run, report)
            report()
        except BaseException:
            sending.stop.set()
            raise

    def _define(
        self, connection: libvirt.virConnect, guest: Guest, saved: Saved, disk: Disk, *, power_on: bool
    ) -> Restored:
        """Define the guest with its complete disk, start it if asked, and take the note off: it is whole."""
        domain = domain_of(connection, guest.uuid)
        if domain is None:
            xml = redefining.new_definition(
                saved.definition, guest, self.seat.ref.domain_type, saved.disk.device, disk.path
            )
            domain = connection.defineXML(xml)
        state = power.start(domain) if power_on else power.state(domain)
        notes.erase(connection, disk.pool, volume_name(disk))
        return Restored(laid(connection, domain, disk) or made_of(saved, disk), state)


def disk_name(guest: Guest) -> str:
    return f"{guest.uuid}.qcow2"


def found(connection: libvirt.virConnect, guest: Guest) -> Disk | None:
    """Return the disk that an earlier try has begun here for the guest, or None."""
    for pool in spare.file_pools(connection):
        note = notes.read(connection, pool.name(), disk_name(guest))
        if note is not None and note.role is Role.RESTORED and note.guest == str(guest.uuid):
            return Disk("", f"{spare.folder_of(pool)}/{disk_name(guest)}", pool.name(), 0, 0)
    return None


def made(connection: libvirt.virConnect, guest: Guest) -> Disk | None:
    """Return the disk of a guest that was made here before, None where it was not."""
    domain = domain_of(connection, guest.uuid)
    disks = () if domain is None else describing.found_guest(connection, domain).disks
    return next((disk for disk in disks if volume_name(disk) == disk_name(guest)), None)


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


def is_complete(connection: libvirt.virConnect, disk: Disk) -> bool:
    """Return whether all of the backup is in the disk, verified; one without a note belongs to a guest that is whole."""
    note = notes.read(connection, disk.pool, volume_name(disk))
    complete = note is None or note.stage is Stage.COMPLETE
    return complete and volume_at(connection, disk.path) is not None


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
