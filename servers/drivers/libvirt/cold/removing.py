"""What a cold migration leaves behind is removed: the old copy when it is confirmed, the new one when it is reverted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import libvirt

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import copied, describing, marks, notes, power
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.cold.standing import Standing
from servers.drivers.libvirt.marks import Way
from servers.drivers.libvirt.notes import Note, Role, volume_name
from servers.drivers.libvirt.pools import volume_at
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import on_two_hosts


class Confirming:
    """The guest stays where it was moved to: what is `here`, at the source, goes.

    The definition, which names the other host, goes last: who is killed in between leaves enough for the next one.
    """

    verb = "confirm_migration"

    def __init__(self, here: Seat, guest: Guest) -> None:
        self.here, self.guest = here, guest

    def run(self) -> None:
        now = standing.look(self.here, self.verb, self.guest)
        if now is None:
            return
        if now.alive:
            raise on_two_hosts(self.guest, self.here.ref)
        standing.require(self.here, self.guest, now, Way.TO)
        assert now.mark is not None
        peer = self.here.at_noted(now.mark.peer())
        if copies := self._copies(peer):
            self._remove(peer, lambda domain: delete(domain.connect(), copies))
        if peer.ask(self.verb, self._is_unsettled):
            peer.ask(self.verb, self._settle, changes=True)
        self._remove(peer, power.undefine)

    def _copies(self, peer: Seat) -> list[Disk]:
        """Return which of this host's disks have a verified copy at `peer`, where the guest must be defined."""
        disks = tuple(disk for disk in copied.found(self.here, self.guest).disks if disk.pool)

        def verified(connection: libvirt.virConnect) -> list[Disk]:
            if domain_of(connection, self.guest.uuid) is None:
                raise peer.missing(self.guest)
            return list(self._of_this_move(connection, disks))

        return peer.ask(self.verb, verified)

    def _of_this_move(self, connection: libvirt.virConnect, disks: tuple[Disk, ...]) -> dict[Disk, Note]:
        """Return which of the disks are copies of this move, with their notes."""
        found = notes.beside(connection, replace(self.guest, disks=disks), Role.COPIED)
        return {disk: note for disk, note in found.items() if note.owner in {"", self.here.owner}}

    def _remove(self, peer: Seat, change: Callable[[libvirt.virDomain], object]) -> None:
        """Change something of the guest here, which does not run. Raises GuestOnTwoHosts."""

        def off(domain: libvirt.virDomain) -> None:
            if domain.isActive():
                raise on_two_hosts(self.guest, self.here.ref, peer.ref)
            change(domain)

        standing.act(self.here, self.verb, self.guest, off, Way.TO)

    def _is_unsettled(self, connection: libvirt.virConnect) -> bool:
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        return self._is_marked(domain) or bool(self._of_this_move(connection, disks_of(connection, domain)))

    def _settle(self, connection: libvirt.virConnect) -> None:
        """Let the guest be at home where it was moved to: what is there is no copy any more."""
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        for disk in self._of_this_move(connection, disks_of(connection, domain)):
            notes.erase(connection, disk.pool, volume_name(disk))
        mark = marks.kept(domain)
        if mark is not None and self._is_marked(domain):
            marks.write(domain, mark.ended(self.here.owner), marks.everywhere(domain))

    def _is_marked(self, domain: libvirt.virDomain) -> bool:
        mark = marks.kept(domain)
        return mark is not None and mark.is_ours(Way.FROM, self.here.owner)


class Discarding:
    """The guest goes back to where it came from: what is `here`, at the destination, is stopped and removed."""

    verb = "revert"

    def __init__(self, here: Seat, guest: Guest) -> None:
        self.here, self.guest = here, guest

    def run(self) -> None:
        now = standing.look(self.here, self.verb, self.guest)
        if now is not None:
            standing.require(self.here, self.guest, now, Way.FROM)
        left = self.here.ask(
            self.verb, lambda connection: notes.beside(connection, self.guest, Role.PREPARED, Role.COPIED)
        )
        for note in left.values():
            self.here.require_own(self.guest, note.owner)
        self._require_kept(now, left.values())
        if now is not None and now.alive:
            standing.act(self.here, self.verb, self.guest, power.cut, Way.FROM)
        if now is not None:
            standing.act(self.here, self.verb, self.guest, power.undefine, Way.FROM)
        if left:
            self.here.ask(self.verb, self._remove_disks, changes=True)

    def _require_kept(self, now: Standing | None, left: Iterable[Note]) -> None:
        """Raise DriverFault where this copy may be all there is of the guest: the other host must have it still."""
        if now is not None and now.mark is not None:
            peer = self.here.at_noted(now.mark.peer())
            standing.require(peer, self.guest, standing.look(peer, self.verb, self.guest), Way.TO)
        for host in {note.peer() for note in left}:
            copied.found(self.here.at_noted(host), self.guest)

    def _remove_disks(self, connection: libvirt.virConnect) -> None:
        if domain_of(connection, self.guest.uuid) is not None:
            raise on_two_hosts(self.guest, self.here.ref)
        notes.remove_disks(connection, self.guest, Role.PREPARED, Role.COPIED, owner=self.here.owner)


def disks_of(connection: libvirt.virConnect, domain: libvirt.virDomain) -> tuple[Disk, ...]:
    """Return the disks of a domain that lie in storage pools."""
    return tuple(disk for disk in describing.found_guest(connection, domain).disks if disk.pool)


def delete(connection: libvirt.virConnect, disks: list[Disk]) -> None:
    """Delete the volumes of these disks, and what is noted beside them."""
    for disk in disks:
        volume = volume_at(connection, disk.path)
        if volume is not None:
            volume.delete()
        notes.erase(connection, disk.pool, volume_name(disk))
