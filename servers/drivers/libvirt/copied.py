"""Which disks of a guest two hosts do not share, so that they have to be copied; and room for them."""

from __future__ import annotations

import libvirt
from lxml import etree
from lxml.builder import E

from servers.drivers.base import Disk, FoundGuest, Guest, Pool
from servers.drivers.libvirt import describing, volume_sidecar
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.pools import all_pools, require_pool, volume_at
from servers.drivers.libvirt.volume_sidecar import Sidecar, volume_name
from servers.errors import DriverFault


def host_pools(session: HostSession) -> tuple[Pool, ...]:
    """Ask a host for its storage pools."""
    return session.ask("describe", lambda connection: all_pools(connection, session.settings.shared_pools))


def found(session: HostSession, guest: Guest) -> FoundGuest:
    """Ask a host for the guest as it is there. Raises GuestNotFound."""

    def find(connection: libvirt.virConnect) -> FoundGuest | None:
        domain = domain_of(connection, guest.uuid)
        return None if domain is None else describing.found_guest(connection, domain)

    answer = session.ask("find_guest", find)
    if answer is None:
        raise session.missing(guest)
    return answer


def to_copy(source: HostSession, destination: HostSession, disks: tuple[Disk, ...]) -> list[Disk]:
    """Return which of the disks, as the source has them, the destination does not see."""
    here, there = host_pools(source), host_pools(destination)
    common = {p.identity for p in here if p.shared} & {p.identity for p in there if p.shared}
    shared = {p.name for p in here if p.identity in common}
    return [disk for disk in disks if disk.pool not in shared]


def require_room(connection: libvirt.virConnect, session: HostSession, guest: Guest, disk: Disk) -> None:
    """Raise where no volume can be made for a disk of the guest; one of an earlier try is no hindrance.

    Raises BelongsToAnother where another migration has its copy there, DriverFault where a file of somebody else is in
    the way, or the pool is not there.
    """
    require_pool(connection, disk.pool)
    known = volume_sidecar.read(connection, disk.pool, volume_name(disk))
    is_copy = known is not None and known.guest == str(guest.uuid)
    if known is not None and is_copy:
        session.require_own(guest, known.owner)
    if not is_copy and volume_at(connection, disk.path) is not None:
        raise DriverFault(
            message=f"On host {session.ref.name} there is a {disk.path} already, and it is not a copy of ours."
        )


def make_room(
    connection: libvirt.virConnect,
    session: HostSession,
    guest: Guest,
    disk: Disk,
    sidecar: Sidecar,
    capacity: int,
    kind: str,
) -> libvirt.virStorageVol:
    """Make an empty volume for a disk, with a sidecar that it is ours; one of an earlier try is made anew.

    Raises what `require_room` raises, DriverFault where the volume would lie elsewhere.
    """
    require_room(connection, session, guest, disk)
    name, pool = volume_name(disk), require_pool(connection, disk.pool)
    in_the_way = volume_at(connection, disk.path)
    if in_the_way is not None:
        in_the_way.delete()
    volume_sidecar.write(connection, disk.pool, name, sidecar)
    size = E.capacity(str(capacity), unit="bytes")
    xml = E.volume(E.name(name), size, E.allocation("0"), E.target(E.format(type=kind)))
    volume = pool.createXML(etree.tostring(xml, encoding="unicode"))
    if volume.path() != disk.path:
        volume.delete()
        volume_sidecar.erase(connection, disk.pool, name)
        message = f"Pool {disk.pool!r} of host {session.ref.name} would put {disk.path} at {volume.path()}."
        raise DriverFault(message=message)
    return volume


def is_prepared(connection: libvirt.virConnect, disk: Disk, sidecar: Sidecar) -> bool:
    """Return whether there is an empty volume for this disk and this move already."""
    known = volume_sidecar.read(connection, disk.pool, volume_name(disk))
    volume = volume_at(connection, disk.path)
    return known == sidecar and volume is not None and volume.info()[1] == disk.size_bytes
