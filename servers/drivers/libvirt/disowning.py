"""Giving up what an owner whose work is over has left of a guest on a host."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import libvirt

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import domain_metadata, guest_presence, volume_sidecar
from servers.drivers.libvirt.backup import LibvirtBackup, scratch_volume
from servers.drivers.libvirt.guest_presence import Presence
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.restore import LibvirtRestore, restoring
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar, volume_name

VERB = "disown"
CONFIG, LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
LEFT = (Role.PREPARED, Role.COPIED, Role.MOVED)


@dataclass(frozen=True)
class Left:
    """What is the owner's here: a backup's copy, a guest that was being made, sidecars of disks, metadata of the domain."""

    presence: Presence
    backup: bool = False
    restore: bool = False
    sidecars: dict[Disk, Sidecar] = field(default_factory=dict)
    marked: bool = False


def disown(session: HostSession, guest: Guest) -> None:
    """Remove what was prepared or copied for a guest that is not defined here; of one that is, only the signs."""
    left = session.ask(VERB, lambda connection: look(connection, session, guest))
    if left.backup:
        LibvirtBackup(session).discard(guest)
    if left.presence in {Presence.ARRIVING, Presence.LEAVING}:
        return  # a move goes on, whoever believes that it is over
    if left.presence is not Presence.ABSENT:
        if left.marked or left.sidecars or left.restore:
            session.ask(VERB, lambda connection: take_off(connection, session, guest), changes=True)
        return
    if left.restore:
        LibvirtRestore(session).discard(guest)
    roles = [role for role in LEFT if _may_go(session, guest, role, left)]
    if roles:
        session.ask(VERB, lambda connection: remove(connection, session, guest, *roles), changes=True)


def look(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> Left:
    """Return what is the owner's here; what an older version has left is nobody's."""
    copy, begun = scratch_volume.find(connection, guest), restoring.found(connection, guest)
    found = volume_sidecar.beside(connection, guest, *LEFT)
    domain = domain_of(connection, guest.uuid)
    return Left(
        guest_presence.presence(connection, guest.uuid),
        copy is not None and copy.sidecar.owner == session.owner,
        begun is not None and begun.sidecar is not None and begun.sidecar.owner == session.owner,
        {disk: sidecar for disk, sidecar in found.items() if sidecar.owner == session.owner},
        domain is not None and bool(marked(domain, session)),
    )


def marked(domain: libvirt.virDomain, session: HostSession) -> list[int]:
    """Return where the domain carries the owner's metadata: in its definition, in what runs of it, or in both."""
    places = [LIVE] * bool(domain.isActive()) + [CONFIG] * bool(domain.isPersistent())
    found = {place: domain_metadata.read(domain, place) for place in places}
    return [
        place for place, metadata in found.items() if metadata is not None and metadata.owner == session.owner
    ]


def take_off(connection: libvirt.virConnect, session: HostSession, guest: Guest) -> None:
    """Take the owner's metadata off a guest that stays as it is, and the sidecars off its disks."""
    domain = connection.lookupByUUIDString(str(guest.uuid))
    for place in marked(domain, session):
        metadata = domain_metadata.read(domain, place)
        if metadata is not None:
            domain_metadata.write(domain, metadata.ended(session.owner), place)
    left = look(connection, session, guest)
    for disk in left.sidecars:
        volume_sidecar.erase(connection, disk.pool, volume_name(disk))
    begun = restoring.found(connection, guest)
    if left.restore and begun is not None:
        volume_sidecar.erase(connection, begun.disk.pool, volume_name(begun.disk))


def remove(connection: libvirt.virConnect, session: HostSession, guest: Guest, *roles: Role) -> None:
    """Delete the disks that the owner has left, where the guest is still not defined."""
    left = look(connection, session, guest)
    if left.presence is not Presence.ABSENT:
        return
    disks = tuple(disk for disk, sidecar in left.sidecars.items() if sidecar.role in roles)
    volume_sidecar.remove_disks(connection, replace(guest, disks=disks), *roles, owner=session.owner)


def _may_go(session: HostSession, guest: Guest, role: Role, left: Left) -> bool:
    """Return whether the owner has left such disks, and they are not all there is of a guest that moved away."""
    peers = {sidecar.peer() for sidecar in left.sidecars.values() if sidecar.role is role}
    if role is not Role.MOVED:
        return bool(peers)
    return bool(peers) and all(
        guest_presence.ask(session.at_sidecar(peer), guest) is Presence.ALIVE for peer in peers
    )
