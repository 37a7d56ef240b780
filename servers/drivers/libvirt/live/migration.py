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
from servers.drivers.libvirt import checks, copied, marks, notes, whereabouts
from servers.drivers.libvirt.errors import JOB_OVER, forgiven
from servers.drivers.libvirt.live import ending
from servers.drivers.libvirt.live.moving import Move
from servers.drivers.libvirt.marks import Mark, Way
from servers.drivers.libvirt.notes import Role
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence, on_two_hosts
from servers.errors import DriverFault, MigrationFailed


class LibvirtLiveMigration(LiveMigration):
    """One host's part in live migrations."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def check_destination(self, guest: Guest, source: HostRef, options: MoveOptions) -> DestinationCheck:
        return checks.check_destination(self.seat, self.seat.at(source), guest)

    def check_source(self, guest: Guest, destination: DestinationCheck, options: MoveOptions) -> bool:
        return checks.check_source(self.seat, guest, destination, options)

    def prepare(self, guest: Guest, source: HostRef, *, block_migration: bool) -> None:
        if whereabouts.ask(self.seat, guest) is Presence.OFF:
            raise DriverFault(message=f"Guest {guest.name} is defined on host {self.seat.ref.name} already.")
        if not block_migration:
            return
        origin = self.seat.at(source)
        disks = copied.to_copy(origin, self.seat, copied.found(origin, guest).disks)

        def make(connection: libvirt.virConnect) -> None:
            if whereabouts.presence(connection, guest.uuid) is not Presence.ABSENT:
                return  # it is on its way, or there
            note = notes.note(guest, Role.PREPARED, source)
            for disk in disks:
                if not copied.is_prepared(connection, disk, note):
                    copied.make_room(connection, disk, note, disk.size_bytes, disk.format)

        self.seat.ask("pre_live_migration", make, changes=True)

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
            self._refuse_other(guest, destination)
            move.attach(on_progress)
        elif here is Presence.ALIVE:
            found = copied.found(self.seat, guest)
            disks = copied.to_copy(self.seat, move.destination, found.disks)
            self._refuse_obstacle(guest, move, disks, block_migration=block_migration)
            move.begin(disks, on_progress)
        return move.outcome()

    def _refuse_other(self, guest: Guest, destination: HostRef) -> None:
        """Raise MigrationFailed where the guest is on its way to another host than this one."""
        known = self.seat.ask("find_guest", lambda connection: _mark(connection, guest))
        if known is not None and known.uri != destination.uri:
            raise MigrationFailed(host=self.seat.ref.name, reason=f"it is on its way to {known.host}")

    def _refuse_obstacle(self, guest: Guest, move: Move, disks: list[Disk], *, block_migration: bool) -> None:
        """Raise MigrationFailed where the move cannot begin: nothing has happened yet."""
        there = move.destination
        try:
            presence = whereabouts.ask(there, guest)
        except DriverFault as fault:
            raise MigrationFailed(host=self.seat.ref.name, reason=str(fault)) from fault
        if presence is Presence.ALIVE:
            raise on_two_hosts(guest, self.seat.ref, there.ref)
        if presence is not Presence.ABSENT:
            raise MigrationFailed(
                host=self.seat.ref.name, reason=f"{there.ref.name} has a guest of that UUID"
            )
        if disks and not block_migration:
            reason = f"{there.ref.name} does not see its disks, and they are not to be copied"
            raise MigrationFailed(host=self.seat.ref.name, reason=reason)

    def discard(self, guest: Guest) -> None:
        def remove(connection: libvirt.virConnect) -> None:
            here = whereabouts.presence(connection, guest.uuid)
            if here in {Presence.ALIVE, Presence.LEAVING, Presence.TORN}:
                raise on_two_hosts(guest, self.seat.ref)
            if here is Presence.ARRIVING:
                raise DriverFault(message=f"Guest {guest.name} is arriving at host {self.seat.ref.name}.")
            if here is Presence.ABSENT:
                notes.remove_disks(connection, guest, Role.PREPARED)

        self.seat.ask("rollback_live_migration", remove, changes=True)

    def clean_source(self, guest: Guest) -> None:
        def left(connection: libvirt.virConnect) -> list[notes.Note]:
            here = whereabouts.presence(connection, guest.uuid)
            if here in {Presence.ABSENT, Presence.OFF}:
                return notes.of_guest(connection, guest, Role.MOVED) if here is Presence.ABSENT else []
            raise on_two_hosts(guest, self.seat.ref)

        for peer in {note.peer() for note in self.seat.ask("post_live_migration", left)}:
            if whereabouts.ask(self.seat.at_noted(peer), guest) is Presence.ALIVE:
                self.seat.ask(
                    "post_live_migration",
                    lambda connection: notes.remove_disks(connection, guest, Role.MOVED),
                    changes=True,
                )

    def abort(self, guest: Guest) -> bool:
        def stop(connection: libvirt.virConnect) -> bool:
            domain = domain_of(connection, guest.uuid)
            if domain is None or whereabouts.presence(connection, guest.uuid) is not Presence.LEAVING:
                return False
            with forgiven(*JOB_OVER):
                domain.abortJob()
                return True
            return False

        return self.seat.ask("live_migration_abort", stop, changes=True)

    def force_complete(self, guest: Guest) -> bool:
        def force(connection: libvirt.virConnect) -> bool:
            domain = domain_of(connection, guest.uuid)
            if domain is None or whereabouts.presence(connection, guest.uuid) is not Presence.LEAVING:
                return False
            return ending.force(domain)

        return self.seat.ask("live_migration_force_complete", force, changes=True)


def _mark(connection: libvirt.virConnect, guest: Guest) -> Mark | None:
    domain = domain_of(connection, guest.uuid)
    known = None if domain is None else marks.read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    return known if known is not None and known.way is Way.LIVE else None
