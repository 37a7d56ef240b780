"""The driver of one libvirt host."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import libvirt

from servers.drivers.base import Driver, Fence, FoundGuest, Guest, HostInfo, HostRef
from servers.drivers.libvirt import describing, disowning, listing
from servers.drivers.libvirt.agent import LibvirtGuestAgent
from servers.drivers.libvirt.backup import LibvirtBackup
from servers.drivers.libvirt.cold import LibvirtColdMigration
from servers.drivers.libvirt.errors import forgiven, is_lost
from servers.drivers.libvirt.live import LibvirtLiveMigration
from servers.drivers.libvirt.restore import LibvirtRestore
from servers.drivers.libvirt.seat import Seat, Settings, domain_of


class LibvirtDriver(Driver):
    """A host that libvirt drives. It holds no state but this process' connection to the host."""

    live_migration: LibvirtLiveMigration
    cold_migration: LibvirtColdMigration
    agent: LibvirtGuestAgent
    backup: LibvirtBackup
    restore: LibvirtRestore

    def __init__(self, host: HostRef, fence: Fence, settings: Settings) -> None:
        super().__init__(host, fence)
        self.seat = Seat(host, settings, fence)
        self.live_migration = LibvirtLiveMigration(self.seat)
        self.cold_migration = LibvirtColdMigration(self.seat)
        self.agent = LibvirtGuestAgent(self.seat)
        self.backup = LibvirtBackup(self.seat)
        self.restore = LibvirtRestore(self.seat)

    def describe(self) -> HostInfo:
        shared = self.seat.settings.shared_pools
        return self.seat.ask("describe", lambda connection: describing.host_info(connection, shared))

    def find_guest(self, guest: UUID) -> FoundGuest | None:
        def find(connection: libvirt.virConnect) -> FoundGuest | None:
            domain = domain_of(connection, guest)
            if domain is not None:
                with forgiven(libvirt.VIR_ERR_NO_DOMAIN):  # it was removed while it was looked at
                    return _with_owner(connection, domain, describing.seen_guest(connection, domain))
            return None

        return self.seat.ask("find_guest", find)

    def list_guests(self) -> list[FoundGuest]:
        return self.seat.ask("list_guests", lambda connection: listing.all_guests(connection, self.host.name))

    def disown(self, guest: Guest) -> None:
        disowning.disown(self.seat, guest)


def _with_owner(connection: libvirt.virConnect, domain: libvirt.virDomain, found: FoundGuest) -> FoundGuest:
    """Return the guest with what is noted beside its disks, where its mark says nothing, and that can be read."""
    if found.owner or found.unread:
        return found
    try:
        return replace(found, owner=describing.noted_owner(connection, domain, found.disks))
    except (libvirt.libvirtError, UnicodeDecodeError) as error:
        if isinstance(error, libvirt.libvirtError) and is_lost(error):
            raise
        return found  # a pool that is away hides no guest
