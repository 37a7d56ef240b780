"""Copying the disks of a guest that is off from host to host, through this process, and verifying the copies."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace

import libvirt
from lxml import etree

from servers.drivers.base import Disk, Guest, OnProgress, Progress
from servers.drivers.libvirt import copied, notes, streams
from servers.drivers.libvirt.connections import connect
from servers.drivers.libvirt.errors import fault
from servers.drivers.libvirt.notes import Role, volume_name
from servers.drivers.libvirt.pools import pool_named, volume_at
from servers.drivers.libvirt.seat import Seat, in_thread
from servers.errors import DriverFault

POLL_S = 1.0


class Stopped(Exception):
    """Whoever watched the copy has let go of it."""


class DiskCopy:
    """The disks of one guest on their way. Every byte is hashed as it is read, and again at its destination."""

    def __init__(self, source: Seat, destination: Seat, guest: Guest, disks: list[Disk]) -> None:
        self.source, self.destination, self.guest, self.disks = source, destination, guest, disks
        self.done = self.total = 0
        self.stop = threading.Event()

    def run(self, on_progress: OnProgress) -> None:
        """Copy what is not there already; return when all is verified. Raises DriverFault.

        What on_progress raises stops the copy: it lives in this process, and whoever comes next begins it anew.
        """
        work = in_thread(f"copy of {self.guest.name}", self._copy_all)
        try:
            while True:
                try:
                    work.result(POLL_S)
                    break
                except NotYet:
                    on_progress(self.progress())
        except libvirt.libvirtError as error:
            raise fault(self.source.ref, error) from error
        except BaseException:
            self.stop.set()
            raise
        on_progress(self.progress())

    def progress(self) -> Progress:
        """Return how far the copy is; verifying counts as much as copying."""
        return Progress(
            disk_total_bytes=self.total,
            disk_processed_bytes=self.done,
            disk_remaining_bytes=max(self.total - self.done, 0),
        )

    def _copy_all(self) -> None:
        here, there = connect(self.source.ref.uri), connect(self.destination.ref.uri)
        try:
            todo = [disk for disk in self.disks if not self._is_copied(here, there, disk)]
            self.total = sum(2 * size_of(self._volume(here, disk)) for disk in todo)
            for disk in todo:
                self._copy(here, there, disk)
        finally:
            here.close()
            there.close()

    def _volume(self, connection: libvirt.virConnect, disk: Disk) -> libvirt.virStorageVol:
        volume = volume_at(connection, disk.path)
        if volume is None:
            raise DriverFault(
                message=f"Disk {disk.path} is in no storage pool of host {connection.getHostname()}."
            )
        return volume

    def _is_copied(self, here: libvirt.virConnect, there: libvirt.virConnect, disk: Disk) -> bool:
        """Return whether a verified copy of just this version of the disk is there."""
        known = notes.read(there, disk.pool, volume_name(disk))
        if known is None or known.role is not Role.COPIED or known.guest != str(self.guest.uuid):
            return False
        return volume_at(there, disk.path) is not None and known.version == version(self._volume(here, disk))

    def _copy(self, here: libvirt.virConnect, there: libvirt.virConnect, disk: Disk) -> None:
        original = self._volume(here, disk)
        before, size = version(original), size_of(original)
        note = notes.note(self.guest, Role.PREPARED, self.source.ref)
        copy = copied.make_room(there, disk, note, size, "raw")
        sent = self._send(here, original, there, copy, size)
        received = hashlib.sha256()
        streams.receive(there, copy, lambda piece: self._count(piece, received))
        if sent != received.hexdigest():
            raise DriverFault(
                message=f"The copy of {disk.path} on {self.destination.ref.name} differs from it."
            )
        if version(original) != before:
            raise DriverFault(
                message=f"Disk {disk.path} was changed on {self.source.ref.name} while it was copied."
            )
        pool_of(there, disk).refresh()  # so that its true format is known
        notes.write(
            there, disk.pool, volume_name(disk), replace(note, role=Role.COPIED, version=before, sha256=sent)
        )

    def _send(
        self,
        here: libvirt.virConnect,
        original: libvirt.virStorageVol,
        there: libvirt.virConnect,
        copy: libvirt.virStorageVol,
        size: int,
    ) -> str:
        """Stream the original into the copy; return its hash."""
        digest = hashlib.sha256()
        stream = streams.into(there, copy, size)

        def take(piece: bytes) -> None:
            self._count(piece, digest)
            streams.send(stream, piece)

        try:
            streams.receive(here, original, take)
        except BaseException:
            stream.abort()
            raise
        stream.finish()
        return str(digest.hexdigest())

    def _count(self, piece: bytes, digest: hashlib._Hash) -> None:
        if self.stop.is_set():
            raise Stopped
        digest.update(piece)
        self.done += len(piece)


def pool_of(connection: libvirt.virConnect, disk: Disk) -> libvirt.virStoragePool:
    """Return the pool of a disk. Raises DriverFault where it is not active."""
    found = pool_named(connection, disk.pool)
    if found is None:
        raise DriverFault(
            message=f"Host {connection.getHostname()} has no active storage pool {disk.pool!r}."
        )
    return found


def size_of(volume: libvirt.virStorageVol) -> int:
    """Return how many bytes a volume has as a file: for qcow2 not what its guest sees."""
    _, capacity, allocation = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
    return int(allocation or capacity)


def version(volume: libvirt.virStorageVol) -> str:
    """Return when the volume was last written; empty where its pool does not say."""
    return str(etree.fromstring(volume.XMLDesc()).findtext("target/timestamps/mtime", ""))
