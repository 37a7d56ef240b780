"""Notes beside disks: why a copy is there and whose it is. Only a disk with a note is ever deleted.

A note is a small volume in the disk's own pool, so it survives whatever becomes of the guest's definition.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, Guest, HostRef
from servers.drivers.libvirt import streams
from servers.drivers.libvirt.errors import forgiven
from servers.drivers.libvirt.pools import pool_named, volume_at, volume_in
from servers.errors import DriverFault

SIZE_BYTES = 4096
SUFFIX = ".gantry"


class Role(StrEnum):
    PREPARED = "prepared"
    """Made empty, for a guest that is to come from `host`."""
    COPIED = "copied"
    """Copied from `host`, complete and verified."""
    MOVED = "moved"
    """What a guest leaves behind that moves to `host` with a copy of this disk."""
    BACKUP = "backup"
    """A copy of a guest's disk that waits to be fetched; it is removed then."""
    RESTORED = "restored"
    """The disk of a guest that is being made from a backup."""


class Stage(StrEnum):
    FREEZING = "freezing"
    """The guest's file systems may be frozen: whoever reads this thaws them."""
    COPYING = "copying"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Note:
    """What is known of a disk. `version` is when the disk was last changed at its source.

    Of a backup: `target` is the file for which it is made.
    """

    guest: str
    role: Role
    host: str
    uri: str
    version: str = ""
    sha256: str = ""
    target: str = ""
    stage: Stage = Stage.COMPLETE
    consistent: bool = False

    def peer(self) -> HostRef:
        """Return the other host of the move."""
        return HostRef(self.host, "libvirt", self.uri)


def note(guest: Guest, role: Role, peer: HostRef, **facts: Any) -> Note:
    """Return a note about a disk of `guest`."""
    return Note(str(guest.uuid), role, peer.name, peer.uri, **facts)


def write(connection: libvirt.virConnect, pool: str, volume: str, content: Note) -> None:
    """Write, or write anew, the note beside a volume, which need not exist yet."""
    found = pool_named(connection, pool)
    if found is None:
        raise DriverFault(message=f"Host {connection.getHostname()} has no active storage pool {pool!r}.")
    paper = volume_in(found, volume + SUFFIX)
    if paper is None:
        size = E.capacity(str(SIZE_BYTES), unit="bytes")
        xml = E.volume(E.name(volume + SUFFIX), size, E.target(E.format(type="raw")))
        paper = found.createXML(etree.tostring(xml, encoding="unicode"))
    streams.upload(connection, paper, json.dumps(asdict(content)).encode().ljust(SIZE_BYTES))


def read(connection: libvirt.virConnect, pool: str, volume: str) -> Note | None:
    """Return the note beside a volume, or None."""
    found = pool_named(connection, pool)
    paper = None if found is None else volume_in(found, volume + SUFFIX)
    if paper is None:
        return None
    try:
        content = json.loads(streams.download(connection, paper))
        stage = Stage(content.get("stage", Stage.COMPLETE))
        return Note(**{**content, "role": Role(content["role"]), "stage": stage})
    except (ValueError, TypeError, KeyError):  # none of ours, or not written to its end
        return None


def erase(connection: libvirt.virConnect, pool: str, volume: str) -> None:
    """Remove the note beside a volume, if there is one."""
    found = pool_named(connection, pool)
    paper = None if found is None else volume_in(found, volume + SUFFIX)
    if paper is not None:
        with forgiven(libvirt.VIR_ERR_NO_STORAGE_VOL):
            paper.delete()


def volume_name(disk: Disk) -> str:
    """Return the name by which the pool knows a disk: the last part of its path in every kind of pool."""
    return disk.path.rpartition("/")[2]


def remove_disks(connection: libvirt.virConnect, guest: Guest, *roles: Role) -> None:
    """Delete the disks of `guest` that have a note with one of these roles, and then the notes."""
    for disk in guest.disks:
        name = volume_name(disk)
        known = read(connection, disk.pool, name)
        if known is None or UUID(known.guest) != guest.uuid or known.role not in roles:
            continue
        volume = volume_at(connection, disk.path)
        if volume is not None:
            with forgiven(libvirt.VIR_ERR_NO_STORAGE_VOL):
                volume.delete()
        erase(connection, disk.pool, name)


def of_guest(connection: libvirt.virConnect, guest: Guest, role: Role) -> list[Note]:
    """Return the notes of this role beside the guest's disks."""
    found = (read(connection, d.pool, volume_name(d)) for d in guest.disks)
    return [n for n in found if n is not None and n.guest == str(guest.uuid) and n.role is role]
