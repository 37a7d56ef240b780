"""The scratch volume in which a backup lies on its host until it is fetched, and the sidecar that says how far it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import volume_sidecar
from servers.drivers.libvirt.answers import tree
from servers.drivers.libvirt.errors import ignore_libvirt_errors
from servers.drivers.libvirt.pools import NOT_THERE, pool_named, require_pool, sizes, volume_in
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar
from servers.errors import BackupFailed

MIB = 1024**2
FILE_POOLS = frozenset({"dir", "fs", "netfs", "vstorage"})
"""Pools whose volumes are files, in which a qcow2 can grow."""
BUSY = (
    libvirt.VIR_ERR_INTERNAL_ERROR,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_FAILED,
    libvirt.VIR_ERR_SYSTEM_ERROR,
)
"""How libvirt says that a pool cannot be looked at now."""


@dataclass(frozen=True)
class BackupScratch:
    """A scratch volume: where it is, and its sidecar."""

    pool: str
    name: str
    sidecar: Sidecar

    def write(self, connection: libvirt.virConnect, **facts: Any) -> BackupScratch:
        """Write the sidecar with these facts changed; return the scratch volume as it is then."""
        changed = replace(self, sidecar=replace(self.sidecar, **facts))
        volume_sidecar.write(connection, self.pool, self.name, changed.sidecar)
        return changed

    def require(self, connection: libvirt.virConnect) -> None:
        """Raise BackupFailed unless this is still what is here for the guest: somebody else may have begun anew."""
        if volume_sidecar.read(connection, self.pool, self.name) != self.sidecar:
            raise BackupFailed(reason="its copy on the host was replaced, or given up, while it was made")

    def volume(self, connection: libvirt.virConnect) -> libvirt.virStorageVol | None:
        """Return the volume, None where it is not there."""
        pool = pool_named(connection, self.pool)
        return None if pool is None else volume_in(pool, self.name)


def name_of(guest: Guest) -> str:
    return f"{guest.uuid}.backup.qcow2"


def find(connection: libvirt.virConnect, guest: Guest) -> BackupScratch | None:
    """Return the guest's scratch volume on this host, of whatever backup it is."""
    for pool in file_pools(connection):
        sidecar = volume_sidecar.read(connection, pool.name(), name_of(guest))
        if sidecar is not None and sidecar.role is Role.BACKUP and sidecar.guest == str(guest.uuid):
            return BackupScratch(pool.name(), name_of(guest), sidecar)
    return None


def file_pools(connection: libvirt.virConnect) -> list[libvirt.virStoragePool]:
    """Return the active pools whose volumes are files."""
    found: list[libvirt.virStoragePool] = []
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        with ignore_libvirt_errors(*NOT_THERE):  # it was stopped while it was looked at
            if tree(pool.XMLDesc()).get("type") in FILE_POOLS:
                found.append(pool)
    return found


def needed_bytes(disk: Disk) -> int:
    """Return how large a qcow2 of the disk's content may become: what is used, and its tables."""
    used = min(disk.used_bytes or disk.size_bytes, disk.size_bytes)
    return used + disk.size_bytes // 4096 + MIB


def choose_pool(connection: libvirt.virConnect, disk: Disk) -> str:
    """Return the pool for a copy of the disk. Raises BackupFailed where none has room."""
    need = needed_bytes(disk)
    chosen = roomy_pool(connection, disk.pool, need)
    if chosen is None:
        host = connection.getHostname()
        raise BackupFailed(reason=f"no storage pool of files on host {host} has {need // MIB} MiB free")
    return chosen


def roomy_pool(connection: libvirt.virConnect, preferred: str, need: int) -> str | None:
    """Return the preferred pool where it has room for so many bytes, else the one with most, or None."""
    room: dict[str, int] = {}
    for pool in file_pools(connection):
        with ignore_libvirt_errors(*BUSY):
            pool.refresh()  # else it tells what was free at the last refresh; refused while a volume is being made
        with ignore_libvirt_errors(*BUSY, *NOT_THERE):  # one that cannot tell has no room
            room[pool.name()] = sizes(pool)[1]
    enough = {name: free for name, free in room.items() if free >= need}
    return preferred if preferred in enough else max(enough, key=lambda name: enough[name], default=None)


def folder_of(pool: libvirt.virStoragePool) -> str:
    """Return the folder in which the pool's files lie."""
    return str(tree(pool.XMLDesc()).findtext("target/path", ""))


def make(connection: libvirt.virConnect, scratch: BackupScratch, capacity: int) -> str:
    """Make the empty volume; return its path. Its sidecar is there already."""
    pool = require_pool(connection, scratch.pool)
    return str(pool.createXML(xml(scratch, capacity)).path())


def xml(scratch: BackupScratch, capacity: int) -> str:
    """Return the definition of the volume, for libvirt to make it empty or as a copy."""
    size = E.capacity(str(capacity), unit="bytes")
    target = E.target(E.format(type="qcow2"))
    return str(
        etree.tostring(E.volume(E.name(scratch.name), size, E.allocation("0"), target), encoding="unicode")
    )


def remove(connection: libvirt.virConnect, scratch: BackupScratch) -> bool:
    """Remove the volume, then its sidecar; return False while libvirt is still writing the volume."""
    volume = scratch.volume(connection)
    if volume is not None:
        with ignore_libvirt_errors(libvirt.VIR_ERR_NO_STORAGE_VOL):
            try:
                volume.delete()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
                    return False  # "volume is still being allocated"
                raise
    volume_sidecar.erase(connection, scratch.pool, scratch.name)
    return True
