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
from servers.drivers.libvirt import checks, copied, guest_presence, volume_sidecar
from servers.drivers.libvirt.domain_metadata import MigrationMetadata
from servers.drivers.libvirt.guest_presence import Presence, on_two_hosts
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.live import own_move
from servers.drivers.libvirt.live.moving import Move
from servers.drivers.libvirt.live.outcome import ENDING_S
from servers.drivers.libvirt.volume_sidecar import Role
from servers.errors import BelongsToAnother, DriverFault, MigrationFailed


class LibvirtLiveMigration(LiveMigration):
    """One host's part in live migrations."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def check_destination(self, guest: Guest, source: HostRef, options: MoveOptions) -> DestinationCheck:
        return checks.check_destination(self.session, self.session.at(source), guest)

    def check_source(self, guest: Guest, destination: DestinationCheck, options: MoveOptions) -> bool:
        return checks.check_source(self.session, guest, destination, options)

    def prepare(self, guest: Guest, source: HostRef, *, block_migration: bool) -> None:
        verb, session = "pre_live_migration", self.session
        here = guest_presence.ask(session, guest)
        if here is Presence.OFF:
            raise DriverFault(message=f"Guest {guest.name} is defined on host {session.ref.name} already.")
        if here is not Presence.ABSENT or not block_migration:
            return  # it is on its way, or there
        origin = session.at(source)
        found = copied.found(origin, guest)
        origin.require_own(guest, found.owner)
        disks = copied.to_copy(origin, session, found.disks)
        sidecar = volume_sidecar.of_disk(guest, Role.PREPARED, source, session.owner)

        def missing(connection: libvirt.virConnect) -> list[Disk]:
            empty = [disk for disk in disks if not copied.is_prepared(connection, disk, sidecar)]
            for disk in empty:
                copied.require_room(connection, session, guest, disk)
            return empty

        def make(connection: libvirt.virConnect) -> None:
            if guest_presence.presence(connection, guest.uuid) is not Presence.ABSENT:
                return
            for disk in missing(connection):
                copied.make_room(connection, session, guest, disk, sidecar, disk.size_bytes, disk.format)

        if session.ask(verb, missing):
            session.ask(verb, make, changes=True)

    def move(
        self,
        guest: Guest,
        destination: HostRef,
        options: MoveOptions,
        on_progress: OnProgress,
        *,
        block_migration: bool,
    ) -> Moved:
        move = Move(self.session, self.session.at(destination), guest, options)
        here = guest_presence.ask(self.session, guest)
        if here is Presence.LEAVING or (here is Presence.ALIVE and move.has_begun()):
            self._require_own(guest, destination)
            move.attach(on_progress)
        elif here is Presence.ALIVE:
            move.begin(self._disks(guest, move, block_migration=block_migration), on_progress)
        return move.outcome()

    def _require_own(self, guest: Guest, destination: HostRef) -> None:
        """Raise where the guest leaves by another move than this one: BelongsToAnother, MigrationFailed."""

        def look(connection: libvirt.virConnect) -> tuple[bool, MigrationMetadata | None]:
            domain = domain_of(connection, guest.uuid)
            return (False, None) if domain is None else (True, own_move.announced(domain))

        is_here, known = self.session.see("find_guest", look)
        if known is not None:
            self.session.require_own(guest, known.owner)
        if is_here and known is None:
            raise MigrationFailed(host=self.session.ref.name, reason="somebody else moves it just now")
        if known is not None and known.uri != destination.uri:
            raise MigrationFailed(host=self.session.ref.name, reason=f"it is on its way to {known.host}")

    def _disks(self, guest: Guest, move: Move, *, block_migration: bool) -> list[Disk]:
        """Return the disks to copy. Raises MigrationFailed, BelongsToAnother where the move cannot begin.

        Nothing has happened then.
        """
        here, there = self.session, move.destination
        try:
            found = copied.found(here, guest)
            here.require_own(guest, found.owner)
            disks = copied.to_copy(here, there, found.disks)
            presence = guest_presence.ask(there, guest)
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
        verb, session = "rollback_live_migration", self.session

        def here(connection: libvirt.virConnect) -> Presence:
            domain = domain_of(connection, guest.uuid)
            metadata = None if domain is None else own_move.announced(domain)
            if metadata is not None:
                session.require_own(guest, metadata.owner)
            return guest_presence.presence(connection, guest.uuid)

        def left(connection: libvirt.virConnect) -> bool:
            """Return whether there is something to remove. Raises where it is not ours to remove."""
            presence, found = here(connection), volume_sidecar.beside(connection, guest, Role.PREPARED)
            for sidecar in found.values():
                session.require_own(guest, sidecar.owner)
            if presence is Presence.ARRIVING:
                raise DriverFault(message=f"Guest {guest.name} is arriving at host {session.ref.name}.")
            if presence in {Presence.ALIVE, Presence.LEAVING, Presence.POSTCOPY_FAILED}:
                raise on_two_hosts(guest, session.ref)
            return presence is Presence.ABSENT and bool(found)

        def remove(connection: libvirt.virConnect) -> None:
            if left(connection):
                volume_sidecar.remove_disks(connection, guest, Role.PREPARED, owner=session.owner)

        if session.ask(verb, here) is Presence.ARRIVING:  # it is being sent back, perhaps
            guest_presence.settled(session, guest, Presence.ARRIVING, ENDING_S)
        if session.ask(verb, left):
            session.ask(verb, remove, changes=True)

    def clean_source(self, guest: Guest) -> None:
        verb, session = "post_live_migration", self.session

        def left(connection: libvirt.virConnect) -> list[volume_sidecar.Sidecar]:
            """Return the sidecars of what the guest has left here. Raises where it is not ours to remove."""
            here = guest_presence.presence(connection, guest.uuid)
            if here not in {Presence.ABSENT, Presence.OFF}:
                raise on_two_hosts(guest, session.ref)
            found = volume_sidecar.beside(connection, guest, Role.MOVED) if here is Presence.ABSENT else {}
            for sidecar in found.values():
                session.require_own(guest, sidecar.owner)
            return list(found.values())

        def remove(connection: libvirt.virConnect) -> None:
            if left(connection):
                volume_sidecar.remove_disks(connection, guest, Role.MOVED, owner=session.owner)

        peers = {sidecar.peer() for sidecar in session.ask(verb, left)}
        if peers and all(guest_presence.ask(session.at_sidecar(p), guest) is Presence.ALIVE for p in peers):
            session.ask(verb, remove, changes=True)

    def abort(self, guest: Guest) -> bool:
        verb, session = "live_migration_abort", self.session
        if session.ask(verb, lambda connection: own_move.leaving(connection, session, guest)) is None:
            return False
        return session.ask(verb, lambda connection: own_move.abort(connection, session, guest), changes=True)

    def force_complete(self, guest: Guest) -> bool:
        verb, session = "live_migration_force_complete", self.session
        if not session.ask(verb, lambda connection: own_move.can_be_forced(connection, session, guest)):
            return False
        return session.ask(verb, lambda connection: own_move.force(connection, session, guest), changes=True)
