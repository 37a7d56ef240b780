"""Bringing a backup into a volume: hashed as it is read here, and again as it lies there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import libvirt

from servers.drivers.base import Disk, Guest, Progress, Saved
from servers.drivers.libvirt import streams, volume_sidecar
from servers.drivers.libvirt.backup.fetching import Stopped
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.volume_sidecar import Sidecar
from servers.errors import ImageStoreFault, RestoreFailed


class Sending:
    """A backup on its way into the volume of `disk`, which is there already. `done` counts bytes, both ways."""

    def __init__(
        self, session: HostSession, guest: Guest, saved: Saved, disk: Disk, sidecar: Sidecar
    ) -> None:
        self.session, self.guest, self.saved, self.disk, self.sidecar = session, guest, saved, disk, sidecar
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

    def run(self, connection: libvirt.virConnect) -> None:
        """Send and verify. Raises RestoreFailed, DriverFault, libvirtError, Stopped."""
        volume_sidecar.require(connection, self.disk, self.sidecar)
        volume = connection.storageVolLookupByPath(self.disk.path)
        if self._send(connection, volume) != self.saved.sha256:
            raise RestoreFailed(reason="the backup is not what was saved: its SHA-256 is another one")
        received = hashlib.sha256()
        streams.receive(connection, volume, lambda piece: self._count(piece, received))
        if received.hexdigest() != self.saved.sha256:
            raise RestoreFailed(reason=f"what lies on host {self.session.ref.name} is not what was sent")
        volume.storagePoolLookupByVolume().refresh()  # so that its true format is known

    def _send(self, connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> str:
        """Stream the backup into the volume; return its hash."""
        digest = hashlib.sha256()
        stream = streams.into(connection, volume, self.saved.size_bytes)
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
