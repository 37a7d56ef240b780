"""Giving up what an owner whose work is over has left of a guest on a host."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import libvirt

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import marks, notes, whereabouts
from servers.drivers.libvirt.backup import LibvirtBackup, spare
from servers.drivers.libvirt.notes import Note, Role, volume_name
from servers.drivers.libvirt.restore import LibvirtRestore, restoring
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence

VERB = "disown"
CONFIG, LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
LEFT = (Role.PREPARED, Role.COPIED, Role.MOVED)


@dataclass(frozen=True)
class Left:
    """What is the owner's here: a backup's copy, a guest that was being made, notes beside disks, marks."""

    presence: Presence
    backup: bool = False
    restore: bool = False
    notes: dict[Disk, Note] = field(default_factory=dict)
    marked: bool = False


def disown(seat: Seat, guest: Guest) -> None:
    """Remove what was prepared or copied for a guest that is not defined here; of one that is, only the signs."""
    left = seat.ask(VERB, lambda connection: look(connection, seat, guest))
    if left.backup:
        LibvirtBackup(seat).discard(guest)
    if left.presence in {Presence.ARRIVING, Presence.LEAVING}:
        return  # a move goes on, whoever believes that it is over
    if left.presence is not Presence.ABSENT:
        if left.marked or left.notes or left.restore:
            seat.ask(VERB, lambda connection: take_off(connection, seat, guest), changes=True)
        return
    if left.restore:
        LibvirtRestore(seat).discard(guest)
    roles = [role for role in LEFT if _may_go(seat, guest, role, left)]
    if roles:
        seat.ask(VERB, lambda connection: remove(connection, seat, guest, *roles), changes=True)


def look(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> Left:
    """Return what is the owner's here; what an older version has left is nobody's."""
    copy, begun = spare.find(connection, guest), restoring.found(connection, guest)
    found = notes.beside(connection, guest, *LEFT)
    domain = domain_of(connection, guest.uuid)
    return Left(
        whereabouts.presence(connection, guest.uuid),
        copy is not None and copy.note.owner == seat.owner,
        begun is not None and begun.note is not None and begun.note.owner == seat.owner,
        {disk: note for disk, note in found.items() if note.owner == seat.owner},
        domain is not None and bool(marked(domain, seat)),
    )


def marked(domain: libvirt.virDomain, seat: Seat) -> list[int]:
    """Return where the domain carries the owner's mark: in its definition, in what runs of it, or in both."""
    places = [LIVE] * bool(domain.isActive()) + [CONFIG] * bool(domain.isPersistent())
    found = {place: marks.read(domain, place) for place in places}
    return [place for place, mark in found.items() if mark is not None and mark.owner == seat.owner]


def take_off(connection: libvirt.virConnect, seat: Seat, guest: Guest) -> None:
    """Take the owner's mark off a guest that stays as it is, and the notes off its disks."""
    domain = connection.lookupByUUIDString(str(guest.uuid))
    for place in marked(domain, seat):
        mark = marks.read(domain, place)
        if mark is not None:
            marks.write(domain, mark.ended(seat.owner), place)
    left = look(connection, seat, guest)
    for disk in left.notes:
        notes.erase(connection, disk.pool, volume_name(disk))
    begun = restoring.found(connection, guest)
    if left.restore and begun is not None:
        notes.erase(connection, begun.disk.pool, volume_name(begun.disk))


def remove(connection: libvirt.virConnect, seat: Seat, guest: Guest, *roles: Role) -> None:
    """Delete the disks that the owner has left, where the guest is still not defined."""
    left = look(connection, seat, guest)
    if left.presence is not Presence.ABSENT:
        return
    disks = tuple(disk for disk, note in left.notes.items() if note.role in roles)
    notes.remove_disks(connection, replace(guest, disks=disks), *roles, owner=seat.owner)


def _may_go(seat: Seat, guest: Guest, role: Role, left: Left) -> bool:
    """Return whether the owner has left such disks, and they are not all there is of a guest that moved away."""
    peers = {note.peer() for note in left.notes.values() if note.role is role}
    if role is not Role.MOVED:
        return bool(peers)
    return bool(peers) and all(
        whereabouts.ask(seat.at_noted(peer), guest) is Presence.ALIVE for peer in peers
    )
