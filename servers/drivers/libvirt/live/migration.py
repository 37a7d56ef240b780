"""Moving a running guest: libvirt's peer to peer migration, watched from here."""

from __future__ import annotations

import libvirt

from servers.drivers.base import (
    DestinationCheck,
    Disk,
    Guest,
    HostRef,
    LiveMigration,
    Moved,
    MoveOptions,
    OnProgress,
)
from servers.drivers.libvirt import checks, copied, notes, whereabouts
from servers.drivers.libvirt.live import own_move
from servers.drivers.libvirt.live.moving import Move
from servers.drivers.libvirt.live.outcome import ENDING_S
from servers.drivers.libvirt.marks import Mark
from servers.drivers.libvirt.notes import Role
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence, on_two_hosts
from servers.errors import BelongsToAnother, DriverFault, MigrationFailed


class LibvirtLiveMigration(LiveMigration):
    """One host's part in live migrations."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def check_destination(self, guest: Guest, source: HostRef, options: MoveOptions) -> DestinationCheck:
        return checks.check_destination(self.seat, self.seat.at(source), guest)

    def check_source(self, guest: Guest, destination: DestinationCheck, options: MoveOptions) -> bool:
        return checks.check_source(self.seat, guest, destination, options)

    def prepare(self, guest: Guest, source: HostRef, *, block_migration: bool) -> None:
        verb, seat = "pre_live_migration", self.seat
        here = whereabouts.ask(seat, guest)
        if here is Presence.OFF:
            raise DriverFault(message=f"Guest {guest.name} is defined on host {seat.ref.name} already.")
        if here is not Presence.ABSENT or not block_migration:
            return  # it is on its way, or there
        origin = seat.at(source)
        found = copied.found(origin, guest)
        origin.require_own(guest, found.owner)
        disks = copied.to_copy(origin, seat, found.disks)
        note = notes.note(guest, Role.PREPARED, source, seat.owner)

        def missing(connection: libvirt.virConnect) -> list[Disk]:
            empty = [disk for disk in disks if not copied.is_prepared(connection, disk, note)]
            for disk in empty:
                copied.require_room(connection, seat, guest, disk)
            return empty

        def make(connection: libvirt.virConnect) -> None:
            if whereabouts.presence(connection, guest.uuid) is not Presence.ABSENT:
                return
            for disk in missing(connection):
                copied.make_room(connection, seat, guest, disk, note, disk.size_bytes, disk.format)

        if seat.ask(verb, missing):
            seat.ask(verb, make, changes=True)

    def move(
        self,
        guest: Guest,
        destination: HostRef,
        options: MoveOptions,
        on_progress: OnProgress,
        *,
        block_migration: bool,
    ) -> Moved:
        move = Move(self.seat, self.seat.at(destination), guest, options)
        here = whereabouts.ask(self.seat, guest)
        if here is Presence.LEAVING or (here is Presence.ALIVE and move.has_begun()):
            self._require_own(guest, destination)
            move.attach(on_progress)
        elif here is Presence.ALIVE:
            move.begin(self._disks(guest, move, block_migration=block_migration), on_progress)
        return move.outcome()

    def _require_own(self, guest: Guest, destination: HostRef) -> None:
        """Raise where the guest leaves by another move than this one: BelongsToAnother, MigrationFailed."""

        def look(connection: libvirt.virConnect) -> tuple[bool, Mark | None]:
            domain = domain_of(connection, guest.uuid)
            return (False, None) if domain is None else (True, own_move.announced(domain))

        is_here, known = self.seat.see("find_guest", look)
        if known is not None:
            self.seat.require_own(guest, known.owner)
        if is_here and known is None:
            raise MigrationFailed(host=self.seat.ref.name, reason="somebody else moves it just now")
        if known is not None and known.uri != destination.uri:
            raise MigrationFailed(host=self.seat.ref.name, reason=f"it is on its way to {known.host}")

    def _disks(self, guest: Guest, move: Move, *, block_migration: bool) -> list[Disk]:
        """Return the disks to copy. Raises MigrationFailed, BelongsToAnother where the move cannot begin.

        Nothing has happened then.
        """
        here, there = self.seat, move.destination
        try:
            found = copied.found(here, guest)
            here.require_own(guest, found.owner)
            disks = copied.to_copy(here, there, found.disks)
            presence = whereabouts.ask(there, guest)
        except BelongsToAnother:
            raise
        except DriverFault as fault:
            raise MigrationFailed(host=here.ref.name, reason=str(fault)) from fault
        if presence is Presence.ALIVE:
            raise on_two_hosts(guest, here.ref, there.ref)
        reason = ""
        if presence is not Presence.ABSENT:
            reason = f"{there.ref.name} has a guest of that UUID"
        elif found.job is not None:
            reason = f"another job runs for it ({found.job})"
        elif disks and not block_migration:
            reason = f"{there.ref.name} does not see its disks, and they are not to be copied"
        if reason:
            raise MigrationFailed(host=here.ref.name, reason=reason)
        return disks

    def discard(self, guest: Guest) -> None:
        verb, seat = "rollback_live_migration", self.seat

        def here(connection: libvirt.virConnect) -> Presence:
            domain = domain_of(connection, guest.uuid)
            mark = None if domain is None else own_move.announced(domain)
            if mark is not None:
                seat.require_own(guest, mark.owner)
            return whereabouts.presence(connection, guest.uuid)

        def left(connection: libvirt.virConnect) -> bool:
            """Return whether there is something to remove. Raises where it is not ours to remove."""
            presence, found = here(connection), notes.beside(connection, guest, Role.PREPARED)
            for note in found.values():
                seat.require_own(guest, note.owner)
            if presence is Presence.ARRIVING:
                raise DriverFault(message=f"Guest {guest.name} is arriving at host {seat.ref.name}.")
            if presence in {Presence.ALIVE, Presence.LEAVING, Presence.TORN}:
                raise on_two_hosts(guest, seat.ref)
            return presence is Presence.ABSENT and bool(found)

        def remove(connection: libvirt.virConnect) -> None:
            if left(connection):
                notes.remove_disks(connection, guest, Role.PREPARED, owner=seat.owner)

        if seat.ask(verb, here) is Presence.ARRIVING:  # it is being sent back, perhaps
            whereabouts.settled(seat, guest, Presence.ARRIVING, ENDING_S)
        if seat.ask(verb, left):
            seat.ask(verb, remove, changes=True)

    def clean_source(self, guest: Guest) -> None:
        verb, seat = "post_live_migration", self.seat

        def left(connection: libvirt.virConnect) -> list[notes.Note]:
            """Return the notes of what the guest has left here. Raises where it is not ours to remove."""
            here = whereabouts.presence(connection, guest.uuid)
            if here not in {Presence.ABSENT, Presence.OFF}:
                raise on_two_hosts(guest, seat.ref)
            found = notes.beside(connection, guest, Role.MOVED) if here is Presence.ABSENT else {}
            for note in found.values():
                seat.require_own(guest, note.owner)
            return list(found.values())

        def remove(connection: libvirt.virConnect) -> None:
            if left(connection):
                notes.remove_disks(connection, guest, Role.MOVED, owner=seat.owner)

        peers = {note.peer() for note in seat.ask(verb, left)}
        if peers and all(whereabouts.ask(seat.at_noted(p), guest) is Presence.ALIVE for p in peers):
            seat.ask(verb, remove, changes=True)

    def abort(self, guest: Guest) -> bool:
        verb, seat = "live_migration_abort", self.seat
        if seat.ask(verb, lambda connection: own_move.leaving(connection, seat, guest)) is None:
            return False
        return seat.ask(verb, lambda connection: own_move.abort(connection, seat, guest), changes=True)

    def force_complete(self, guest: Guest) -> bool:
        verb, seat = "live_migration_force_complete", self.seat
        if not seat.ask(verb, lambda connection: own_move.can_be_forced(connection, seat, guest)):
            return False
        return seat.ask(verb, lambda connection: own_move.force(connection, seat, guest), changes=True)
