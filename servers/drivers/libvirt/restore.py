"""Making a new guest of a backup: its disk first, complete and verified, and then its definition."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress, Progress, Restore, Restored, Saved
from servers.drivers.libvirt import copied, describing, notes, power, redefining, spare, streams
from servers.drivers.libvirt.connections import connect
from servers.drivers.libvirt.fetching import Stopped
from servers.drivers.libvirt.notes import Role, Stage, volume_name
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.watched import watched
from servers.errors import (
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
    ImageStoreFault,
    RestoreFailed,
)

PASSED_ON = (RestoreFailed, HypervisorTimeout, HypervisorUnavailable)
T = TypeVar("T")


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
            sending = Sending(self.seat, guest, saved, disk)
            try:
                watched(
                    self.seat,
                    f"restore of {guest.name}",
                    sending.run,
                    lambda: on_progress(sending.progress()),
                )
            except BaseException:
                sending.stop.set()
                raise
            on_progress(sending.progress())
        return disk

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
        laid = next(d for d in describing.found_guest(connection, domain).disks if d.path == disk.path)
        return Restored(laid, state)


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


class Sending:
    """A backup on its way into a volume. Every byte is hashed as it is read here, and again as it lies there."""

    def __init__(self, seat: Seat, guest: Guest, saved: Saved, disk: Disk) -> None:
        self.seat, self.guest, self.saved, self.disk = seat, guest, saved, disk
        self.done = 0
        self.stop = threading.Event()

    def progress(self) -> Progress:
        """Return how far it is; verifying counts as much as sending."""
        total = 2 * self.saved.size_bytes
        return Progress(
            disk_total_bytes=total,
            disk_processed_bytes=self.done,
            disk_remaining_bytes=max(total - self.done, 0),
        )

    def run(self) -> None:
        """Send, verify, and note that the disk is complete. Raises RestoreFailed, libvirtError, Stopped."""
        connection = connect(self.seat.ref.uri)
        try:
            volume = connection.storageVolLookupByPath(self.disk.path)
            if self._send(connection, volume) != self.saved.sha256:
                raise RestoreFailed(reason="the backup is not what was saved: its SHA-256 is another one")
            received = hashlib.sha256()
            streams.receive(connection, volume, lambda piece: self._count(piece, received))
            if received.hexdigest() != self.saved.sha256:
                raise RestoreFailed(reason=f"what lies on host {self.seat.ref.name} is not what was sent")
            volume.storagePoolLookupByVolume().refresh()  # so that its true format is known
            note = notes.note(self.guest, Role.RESTORED, self.seat.ref, stage=Stage.COMPLETE)
            notes.write(connection, self.disk.pool, volume_name(self.disk), note)
        finally:
            connection.close()

    def _send(self, connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> str:
        """Stream the backup into the volume; return its hash."""
        digest = hashlib.sha256()
        stream = connection.newStream()
        volume.upload(stream, 0, self.saved.size_bytes)
        try:
            for piece in self._pieces():
                self._count(piece, digest)
                streams.send(stream, piece)
        except BaseException:
            stream.abort()
            raise
        stream.finish()
        return str(digest.hexdigest())

    def _pieces(self) -> Iterator[bytes]:
        """Yield the backup; no more than its size, whatever the store has."""
        left = self.saved.size_bytes
        try:
            for piece in self.saved.open():
                yield piece[:left]
                left -= len(piece)
                if left < 0:
                    break
        except ImageStoreFault as fault:
            raise RestoreFailed(reason=str(fault)) from fault
        if left:
            raise RestoreFailed(reason="the backup has another size than what was saved")

    def _count(self, piece: bytes, digest: hashlib._Hash) -> None:
        if self.stop.is_set():
            raise Stopped
        digest.update(piece)
        self.done += len(piece)
