"""What a cold migration leaves behind is removed: the old copy when it is confirmed, the new one when it is reverted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import libvirt

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import copied, describing, domain_metadata, power, volume_sidecar
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.cold.standing import Standing
from servers.drivers.libvirt.domain_metadata import Direction
from servers.drivers.libvirt.guest_presence import on_two_hosts
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.pools import volume_at
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar, volume_name


class Confirming:
    """The guest stays where it was moved to: what is `here`, at the source, goes.

    The definition, which names the other host, goes last: who is killed in between leaves enough for the next one.
    """

    verb = "confirm_migration"

    def __init__(self, here: HostSession, guest: Guest) -> None:
        self.here, self.guest = here, guest

    def run(self) -> None:
        now = standing.look(self.here, self.verb, self.guest)
        if now is None:
            return
        if now.alive:
            raise on_two_hosts(self.guest, self.here.ref)
        standing.require(self.here, self.guest, now, Direction.OUTGOING)
        assert now.metadata is not None
        peer = self.here.at_sidecar(now.metadata.peer())
        if copies := self._copies(peer):
            self._remove(peer, lambda domain: delete(domain.connect(), copies))
        if peer.ask(self.verb, self._is_unsettled):
            peer.ask(self.verb, self._settle, changes=True)
        self._remove(peer, power.undefine)

    def _copies(self, peer: HostSession) -> list[Disk]:
        """Return which of this host's disks have a verified copy at `peer`, where the guest must be defined."""
        disks = tuple(disk for disk in copied.found(self.here, self.guest).disks if disk.pool)

        def verified(connection: libvirt.virConnect) -> list[Disk]:
            if domain_of(connection, self.guest.uuid) is None:
                raise peer.missing(self.guest)
            return list(self._of_this_move(connection, disks))

        return peer.ask(self.verb, verified)

    def _of_this_move(self, connection: libvirt.virConnect, disks: tuple[Disk, ...]) -> dict[Disk, Sidecar]:
        """Return which of the disks are copies of this move, with their sidecars."""
        found = volume_sidecar.beside(connection, replace(self.guest, disks=disks), Role.COPIED)
        return {disk: sidecar for disk, sidecar in found.items() if sidecar.owner in {"", self.here.owner}}

    def _remove(self, peer: HostSession, change: Callable[[libvirt.virDomain], object]) -> None:
        """Change something of the guest here, which does not run. Raises GuestOnTwoHosts."""

        def off(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                raise on_two_hosts(self.guest, self.here.ref, peer.ref)
            change(domain)

        standing.act(self.here, self.verb, self.guest, off, Direction.OUTGOING)

    def _is_unsettled(self, connection: libvirt.virConnect) -> bool:
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        return self._is_marked(domain) or bool(self._of_this_move(connection, disks_of(connection, domain)))

    def _settle(self, connection: libvirt.virConnect) -> None:
        """Let the guest be at home where it was moved to: what is there is no copy any more."""
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        for disk in self._of_this_move(connection, disks_of(connection, domain)):
            volume_sidecar.erase(connection, disk.pool, volume_name(disk))
        metadata = domain_metadata.kept(domain)
        if metadata is not None and self._is_marked(domain):
            domain_metadata.write(domain, metadata.ended(self.here.owner), domain_metadata.everywhere(domain))

    def _is_marked(self, domain: libvirt.virDomain) -> bool:
        metadata = domain_metadata.kept(domain)
        return metadata is not None and metadata.is_ours(Direction.INCOMING, self.here.owner)


class Discarding:
    """The guest goes back to where it came from: what is `here`, at the destination, is stopped and removed."""

    verb = "revert"

    def __init__(self, here: HostSession, guest: Guest) -> None:
        self.here, self.guest = here, guest

    def run(self) -> None:
        now = standing.look(self.here, self.verb, self.guest)
        if now is not None:
            standing.require(self.here, self.guest, now, Direction.INCOMING)
        left = self.here.ask(
            self.verb,
            lambda connection: volume_sidecar.beside(connection, self.guest, Role.PREPARED, Role.COPIED),
        )
        for sidecar in left.values():
            self.here.require_own(self.guest, sidecar.owner)
        self._require_kept(now, left.values())
        if now is not None and now.alive:
            standing.act(self.here, self.verb, self.guest, power.cut, Direction.INCOMING)
        if now is not None:
            standing.act(self.here, self.verb, self.guest, power.undefine, Direction.INCOMING)
        if left:
            self.here.ask(self.verb, self._remove_disks, changes=True)

    def _require_kept(self, now: Standing | None, left: Iterable[Sidecar]) -> None:
        """Raise DriverFault where this copy may be all there is of the guest: the other host must have it still."""
        if now is not None and now.metadata is not None:
            peer = self.here.at_sidecar(now.metadata.peer())
            standing.require(peer, self.guest, standing.look(peer, self.verb, self.guest), Direction.OUTGOING)
        for host in {sidecar.peer() for sidecar in left}:
            copied.found(self.here.at_sidecar(host), self.guest)

    def _remove_disks(self, connection: libvirt.virConnect) -> None:
        if domain_of(connection, self.guest.uuid) is not None:
            raise on_two_hosts(self.guest, self.here.ref)
        volume_sidecar.remove_disks(connection, self.guest, Role.PREPARED, Role.COPIED, owner=self.here.owner)


def disks_of(connection: libvirt.virConnect, domain: libvirt.virDomain) -> tuple[Disk, ...]:
    """Return the disks of a domain that lie in storage pools."""
    return tuple(disk for disk in describing.found_guest(connection, domain).disks if disk.pool)


def delete(connection: libvirt.virConnect, disks: list[Disk]) -> None:
    """Delete the volumes of these disks, and what is noted beside them."""
    for disk in disks:
        volume = volume_at(connection, disk.path)
        if volume is not None:
            volume.delete()
        volume_sidecar.erase(connection, disk.pool, volume_name(disk))
