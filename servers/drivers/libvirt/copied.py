"""Which disks of a guest two hosts do not share, so that they have to be copied; and room for them."""

from __future__ import annotations

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, FoundGuest, Guest, Pool
from servers.drivers.libvirt import describing, notes
from servers.drivers.libvirt.notes import Note, volume_name
from servers.drivers.libvirt.pools import all_pools, require_pool, volume_at
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.errors import DriverFault


def host_pools(seat: Seat) -> tuple[Pool, ...]:
    """Ask a host for its storage pools."""
    return seat.ask("describe", lambda connection: all_pools(connection, seat.settings.shared_pools))


def found(seat: Seat, guest: Guest) -> FoundGuest:
    """Ask a host for the guest as it is there. Raises GuestNotFound."""

    def find(connection: libvirt.virConnect) -> FoundGuest | None:
        domain = domain_of(connection, guest.uuid)
        return None if domain is None else describing.found_guest(connection, domain)

    answer = seat.ask("find_guest", find)
    if answer is None:
        raise seat.missing(guest)
    return answer


def to_copy(source: Seat, destination: Seat, disks: tuple[Disk, ...]) -> list[Disk]:
    """Return which of the disks, as the source has them, the destination does not see."""
    here, there = host_pools(source), host_pools(destination)
    common = {p.identity for p in here if p.shared} & {p.identity for p in there if p.shared}
    shared = {p.name for p in here if p.identity in common}
    return [disk for disk in disks if disk.pool not in shared]


def require_room(connection: libvirt.virConnect, seat: Seat, guest: Guest, disk: Disk) -> None:
    """Raise where no volume can be made for a disk of the guest; one of an earlier try is no hindrance.

    Raises BelongsToAnother where another migration has its copy there, DriverFault where a file of somebody else is in
    the way, or the pool is not there.
    """
    require_pool(connection, disk.pool)
    known = notes.read(connection, disk.pool, volume_name(disk))
    is_copy = known is not None and known.guest == str(guest.uuid)
    if known is not None and is_copy:
        seat.require_own(guest, known.owner)
    if not is_copy and volume_at(connection, disk.path) is not None:
        raise DriverFault(
            message=f"On host {seat.ref.name} there is a {disk.path} already, and it is not a copy of ours."
        )


def make_room(
    connection: libvirt.virConnect,
    seat: Seat,
    guest: Guest,
    disk: Disk,
    note: Note,
    capacity: int,
    kind: str,
) -> libvirt.virStorageVol:
    """Make an empty volume for a disk, with a note that it is ours; one of an earlier try is made anew.

    Raises what `require_room` raises, DriverFault where the volume would lie elsewhere.
    """
    require_room(connection, seat, guest, disk)
    name, pool = volume_name(disk), require_pool(connection, disk.pool)
    in_the_way = volume_at(connection, disk.path)
    if in_the_way is not None:
        in_the_way.delete()
    notes.write(connection, disk.pool, name, note)
    size = E.capacity(str(capacity), unit="bytes")
    xml = E.volume(E.name(name), size, E.allocation("0"), E.target(E.format(type=kind)))
    volume = pool.createXML(etree.tostring(xml, encoding="unicode"))
    if volume.path() != disk.path:
        volume.delete()
        notes.erase(connection, disk.pool, name)
        message = f"Pool {disk.pool!r} of host {seat.ref.name} would put {disk.path} at {volume.path()}."
        raise DriverFault(message=message)
    return volume


def is_prepared(connection: libvirt.virConnect, disk: Disk, note: Note) -> bool:
    """Return whether there is an empty volume for this disk and this move already."""
    known = notes.read(connection, disk.pool, volume_name(disk))
    volume = volume_at(connection, disk.path)
    return known == note and volume is not None and volume.info()[1] == disk.size_bytes
