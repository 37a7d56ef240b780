"""Copying the disks of a guest that is off from host to host, through this process, and verifying the copies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress, Progress
from servers.drivers.libvirt import copied, streams, volume_sidecar
from servers.drivers.libvirt.answers import tree
from servers.drivers.libvirt.connections import own_connection
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.pools import require_pool, volume_at
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar, volume_name
from servers.drivers.libvirt.watched import watched
from servers.errors import DriverFault

VERB = "migrate_disk_and_power_off"
Both = tuple[libvirt.virConnect, libvirt.virConnect]


class Stopped(Exception):
    """Whoever watched the copy has let go of it."""


class DiskCopy:
    """The disks of one guest on their way. Every byte is hashed as it is read, and again at its destination."""

    def __init__(
        self, source: HostSession, destination: HostSession, guest: Guest, disks: list[Disk]
    ) -> None:
        self.source, self.destination, self.guest, self.disks = source, destination, guest, disks
        self.done = self.total = 0
        self.stop = threading.Event()

    def missing(self) -> list[Disk]:
        """Return which disks have no verified copy there of just this version."""
        versions = self._versions(self.disks)

        def look(connection: libvirt.virConnect) -> list[Disk]:
            return [disk for disk in self.disks if not self._is_copied(connection, disk, versions[disk][0])]

        return self.destination.ask(VERB, look)

    def run(self, on_progress: OnProgress) -> None:
        """Copy what is not there already; return when all is verified. Raises DriverFault.

        What on_progress raises stops the copy: it lives in this process, and whoever comes next begins it anew.
        """
        todo = self._versions(self.missing())
        self.total = sum(2 * size for _, size in todo.values())
        try:
            for disk, (version, size) in todo.items():
                self._copy(disk, version, size, lambda: on_progress(self.progress()))
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

    def _versions(self, disks: list[Disk]) -> dict[Disk, tuple[str, int]]:
        """Ask the source when each disk was last changed, and for its bytes."""

        def look(connection: libvirt.virConnect) -> dict[Disk, tuple[str, int]]:
            volumes = {disk: volume_of(connection, disk) for disk in disks}
            return {disk: (version(volume), size_of(volume)) for disk, volume in volumes.items()}

        return self.source.ask(VERB, look)

    def _is_copied(self, there: libvirt.virConnect, disk: Disk, version: str) -> bool:
        known = volume_sidecar.read(there, disk.pool, volume_name(disk))
        if known is None or known.role is not Role.COPIED or known.guest != str(self.guest.uuid):
            return False
        ours = known.owner in {"", self.destination.owner}
        return ours and volume_at(there, disk.path) is not None and known.version == version

    def _copy(self, disk: Disk, before: str, size: int, report: Callable[[], object]) -> None:
        """Make room, fill it, and write down that the copy is complete: each is proven for itself."""
        there, guest = self.destination, self.guest
        sidecar = volume_sidecar.of_disk(
            guest, Role.PREPARED, self.source.ref, there.owner, attempt=volume_sidecar.attempt()
        )
        there.ask(
            VERB,
            lambda connection: copied.make_room(connection, there, guest, disk, sidecar, size, "raw").path(),
            changes=True,
        )
        sha256 = watched(
            self.source,
            f"copy of {guest.name}",
            self._both_ways,
            lambda both: self._carry(*both, disk, sidecar, size),
            report,
            changes=True,
        )
        if self._versions([disk])[disk][0] != before:
            raise DriverFault(
                message=f"Disk {disk.path} was changed on {self.source.ref.name} while it was copied."
            )
        complete = replace(sidecar, role=Role.COPIED, version=before, sha256=sha256, attempt="")
        there.ask(VERB, lambda connection: finish(connection, disk, sidecar, complete), changes=True)

    @contextmanager
    def _both_ways(self) -> Iterator[Both]:
        with own_connection(self.source.ref.uri) as here, own_connection(self.destination.ref.uri) as there:
            yield here, there

    def _carry(
        self, here: libvirt.virConnect, there: libvirt.virConnect, disk: Disk, sidecar: Sidecar, size: int
    ) -> str:
        """Fill the copy; return its hash. Raises DriverFault where it differs."""
        volume_sidecar.require(there, disk, sidecar)
        copy = volume_of(there, disk)
        sent = self._send(here, volume_of(here, disk), there, copy, size)
        received = hashlib.sha256()
        streams.receive(there, copy, lambda piece: self._count(piece, received))
        if sent != received.hexdigest():
            raise DriverFault(
                message=f"The copy of {disk.path} on {self.destination.ref.name} differs from it."
            )
        return sent

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


def volume_of(connection: libvirt.virConnect, disk: Disk) -> libvirt.virStorageVol:
    """Return the volume of a disk. Raises DriverFault where no active pool has it."""
    volume = volume_at(connection, disk.path)
    if volume is None:
        raise DriverFault(
            message=f"Disk {disk.path} is in no storage pool of host {connection.getHostname()}."
        )
    return volume


def finish(connection: libvirt.virConnect, disk: Disk, begun: Sidecar, complete: Sidecar) -> None:
    """Write down that a copy is complete. Raises DriverFault where it is not the one that was begun any more."""
    volume_sidecar.require(connection, disk, begun)
    require_pool(connection, disk.pool).refresh()  # so that its true format is known
    volume_sidecar.write(connection, disk.pool, volume_name(disk), complete)


def size_of(volume: libvirt.virStorageVol) -> int:
    """Return how many bytes a volume has as a file: for qcow2 not what its guest sees."""
    _, capacity, allocation = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
    return int(allocation or capacity)


def version(volume: libvirt.virStorageVol) -> str:
    """Return when the volume was last written; empty where its pool does not say."""
    return str(tree(volume.XMLDesc()).findtext("target/timestamps/mtime", ""))
