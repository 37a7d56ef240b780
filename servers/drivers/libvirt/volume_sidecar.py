"""Sidecars of disks: why a copy is there and whose it is. Only a disk with a sidecar is ever deleted.

A sidecar is a small volume in the disk's own pool, so it survives whatever becomes of the guest's definition.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, Guest, HostRef
from servers.drivers.libvirt import streams
from servers.drivers.libvirt.errors import ignore_libvirt_errors
from servers.drivers.libvirt.pools import pool_named, require_pool, volume_at, volume_in
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
class Sidecar:
    """What is known of a disk. `version` is when the disk was last changed at its source.

    `owner` is the migration, image or action to which it belongs, as a UUID; older versions have left it out.
    Of a backup: `target` is the file for which it is made. Of a copy on its way: `attempt` tells it from an earlier one.
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
    owner: str = ""
    attempt: str = ""

    def peer(self) -> HostRef:
        """Return the other host of the move."""
        return HostRef(self.host, "libvirt", self.uri)


def of_disk(guest: Guest, role: Role, peer: HostRef, owner: str, **facts: Any) -> Sidecar:
    """Return what the sidecar of a disk of `guest` says."""
    return Sidecar(str(guest.uuid), role, peer.name, peer.uri, owner=owner, **facts)


def write(connection: libvirt.virConnect, pool: str, volume: str, content: Sidecar) -> None:
    """Write, or write anew, the sidecar beside a volume, which need not exist yet."""
    found = require_pool(connection, pool)
    sidecar = volume_in(found, volume + SUFFIX)
    if sidecar is None:
        size = E.capacity(str(SIZE_BYTES), unit="bytes")
        xml = E.volume(E.name(volume + SUFFIX), size, E.target(E.format(type="raw")))
        sidecar = found.createXML(etree.tostring(xml, encoding="unicode"))
    streams.upload(connection, sidecar, json.dumps(asdict(content)).encode().ljust(SIZE_BYTES))


def read(connection: libvirt.virConnect, pool: str, volume: str) -> Sidecar | None:
    """Return the sidecar beside a volume, or None."""
    found = pool_named(connection, pool)
    sidecar = None if found is None else volume_in(found, volume + SUFFIX)
    return None if sidecar is None else parse(streams.download(connection, sidecar))


def parse(content: bytes) -> Sidecar | None:
    """Return the sidecar, None for what is none of ours, or was not written to its end."""
    try:
        found = json.loads(content)
        known = Sidecar(
            **{**found, "role": Role(found["role"]), "stage": Stage(found.get("stage", Stage.COMPLETE))}
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    texts = (known.guest, known.host, known.uri, known.version, known.sha256, known.target, known.owner)
    sound = all(isinstance(text, str) for text in (*texts, known.attempt)) and isinstance(
        known.consistent, bool
    )
    return known if sound else None


def require(connection: libvirt.virConnect, disk: Disk, content: Sidecar) -> None:
    """Raise DriverFault unless this very sidecar is beside the disk: what it is about may be somebody's by now."""
    if read(connection, disk.pool, volume_name(disk)) != content:
        raise DriverFault(message=f"The copy {disk.path} was replaced while it was made.")


def attempt() -> str:
    """Return a name for an attempt that nobody else has."""
    return str(uuid4())


def erase(connection: libvirt.virConnect, pool: str, volume: str) -> None:
    """Remove the sidecar beside a volume, if there is one."""
    found = pool_named(connection, pool)
    sidecar = None if found is None else volume_in(found, volume + SUFFIX)
    if sidecar is not None:
        with ignore_libvirt_errors(libvirt.VIR_ERR_NO_STORAGE_VOL):
            sidecar.delete()


def volume_name(disk: Disk) -> str:
    """Return the name by which the pool knows a disk: the last part of its path in every kind of pool."""
    return disk.path.rpartition("/")[2]


def beside(connection: libvirt.virConnect, guest: Guest, *roles: Role) -> dict[Disk, Sidecar]:
    """Return the sidecars with one of these roles beside the guest's disks."""
    found = {disk: read(connection, disk.pool, volume_name(disk)) for disk in guest.disks}
    uuid = str(guest.uuid)
    return {d: n for d, n in found.items() if n is not None and n.guest == uuid and n.role in roles}


def remove_disks(connection: libvirt.virConnect, guest: Guest, *roles: Role, owner: str) -> None:
    """Delete the disks of `guest` that have a sidecar with one of these roles, and then the sidecars.

    What belongs to another owner stays; what an older version has left belongs to whoever asks.
    """
    for disk, known in beside(connection, guest, *roles).items():
        if known.owner not in {"", owner}:
            continue
        volume = volume_at(connection, disk.path)
        if volume is not None:
            with ignore_libvirt_errors(libvirt.VIR_ERR_NO_STORAGE_VOL):
                volume.delete()
        erase(connection, disk.pool, volume_name(disk))
