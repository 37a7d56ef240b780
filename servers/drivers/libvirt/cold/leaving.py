"""A guest leaves its host: it is announced, shut down, and its disks are copied to where it goes."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Disk, Guest, OnProgress
from servers.drivers.libvirt import checks, copied, domain_metadata, guest_presence
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.cold.disk_copy import DiskCopy
from servers.drivers.libvirt.cold.standing import Standing
from servers.drivers.libvirt.domain_metadata import Direction, MigrationMetadata
from servers.drivers.libvirt.guest_presence import Presence
from servers.drivers.libvirt.host_session import HostSession
from servers.errors import BelongsToAnother, DiskMoveRolledBack, DriverFault, GuestNotFound

VERB = "migrate_disk_and_power_off"


class Leaving:
    """The first half of a cold migration, as it is done at the source `here`."""

    def __init__(self, here: HostSession, there: HostSession, guest: Guest) -> None:
        self.here, self.there, self.guest = here, there, guest

    def run(self, on_progress: OnProgress) -> None:
        """Do what is not done yet; all that speaks against it is found before anything is changed."""
        now = standing.look(self.here, VERB, self.guest)
        begun = (
            now is not None
            and now.metadata is not None
            and now.metadata.is_ours(Direction.OUTGOING, self.here.owner)
        )
        try:
            if self._has_arrived():
                return
            copy = DiskCopy(self.here, self.there, self.guest, self._obstacles(now))
            if begun and now is not None and not now.alive and not copy.missing():
                return
        except (BelongsToAnother, GuestNotFound):
            raise
        except DiskMoveRolledBack:
            if begun:
                self._roll_back()
            raise
        except DriverFault as fault:
            if begun:
                raise  # the guest is not as it was
            raise DiskMoveRolledBack(reason=str(fault)) from fault
        self._leave(copy, on_progress)

    def _leave(self, copy: DiskCopy, on_progress: OnProgress) -> None:
        standing.act(self.here, VERB, self.guest, self._announce, None)
        standing.shut_down(self.here, VERB, self.guest, Direction.OUTGOING)
        try:
            copy.run(on_progress)
        except DriverFault as fault:
            self._roll_back()
            raise DiskMoveRolledBack(reason=str(fault)) from fault

    # what speaks against it

    def _has_arrived(self) -> bool:
        """Return whether the guest is defined at its destination already, by this very migration."""
        there = standing.look(self.there, VERB, self.guest)
        metadata = None if there is None else there.metadata
        return (
            metadata is not None
            and metadata.way is Direction.INCOMING
            and metadata.migration == self.here.owner
        )

    def _obstacles(self, now: Standing | None) -> list[Disk]:
        """Return the disks to copy. Raises DriverFault where that cannot be: BelongsToAnother, GuestNotFound, …"""
        if now is None:
            raise self.here.missing(self.guest)
        self._require_own(now.metadata)
        found = copied.found(self.here, self.guest)
        if found.job is not None:
            raise DiskMoveRolledBack(reason=f"another job runs for it ({found.job})")
        if guest_presence.ask(self.there, self.guest) is not Presence.ABSENT:
            raise DriverFault(message=f"{self.there.ref.name} has the guest already")
        disks = copied.to_copy(self.here, self.there, found.disks)
        pools = {pool.name for pool in copied.host_pools(self.there)}
        for disk in disks:
            if disk.pool not in pools:
                raise DiskMoveRolledBack(reason=f"{self.there.ref.name} has no pool {disk.pool or disk.path}")
        obstacle = checks.obstacle_while_off(self.here, self.there, self.guest, disks)
        if obstacle:
            raise DiskMoveRolledBack(reason=obstacle)
        self._require_room(disks)
        return disks

    def _require_own(self, metadata: MigrationMetadata | None) -> None:
        """Raise where the guest is in another move, or this one was taken back."""
        if metadata is not None and metadata.way is Direction.ENDED and metadata.migration == self.here.owner:
            raise DiskMoveRolledBack(reason="this move was taken back before")
        if metadata is not None:
            self.here.require_own(self.guest, metadata.owner)

    def _require_room(self, disks: list[Disk]) -> None:
        def look(connection: libvirt.virConnect) -> None:
            for disk in disks:
                copied.require_room(connection, self.there, self.guest, disk)

        self.there.ask(VERB, look)

    # what is done

    def _announce(self, domain: libvirt.virDomain) -> None:
        """Write down where the guest goes and how it was; a host that boots meanwhile must not start it."""
        known = domain_metadata.kept(domain)
        was_running, autostart = bool(domain.isActive()), bool(domain.autostart())
        if known is not None and known.way is Direction.OUTGOING:
            was_running, autostart = was_running or known.was_running, known.autostart
        facts = {"was_running": was_running, "autostart": autostart}
        metadata = domain_metadata.of_move(Direction.OUTGOING, self.there.ref, self.here.owner, **facts)
        domain_metadata.write(domain, metadata, domain_metadata.everywhere(domain))
        domain.setAutostart(0)

    def _roll_back(self) -> None:
        """Let the guest be as it was. Raises DriverFault when it cannot be."""
        now = standing.require(
            self.here, self.guest, standing.look(self.here, VERB, self.guest), Direction.OUTGOING
        )
        if now.metadata is not None and now.metadata.was_running and not now.alive:
            standing.start(self.here, VERB, self.guest, self.there, Direction.OUTGOING)
        owner = self.here.owner
        standing.act(
            self.here, VERB, self.guest, lambda domain: standing.forget(domain, owner), Direction.OUTGOING
        )
