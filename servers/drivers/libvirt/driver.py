"""The driver of one libvirt host."""

from __future__ import annotations

from uuid import UUID

import libvirt

from servers.drivers.base import Driver, FoundGuest, HostInfo, HostRef
from servers.drivers.libvirt import describing, listing
from servers.drivers.libvirt.agent import LibvirtGuestAgent
from servers.drivers.libvirt.backup import LibvirtBackup
from servers.drivers.libvirt.cold import LibvirtColdMigration
from servers.drivers.libvirt.errors import forgiven
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

    def __init__(self, host: HostRef, settings: Settings) -> None:
        super().__init__(host)
        self.seat = Seat(host, settings)
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
                    return describing.seen_guest(connection, domain)
            return None

        return self.seat.ask("find_guest", find)

    def list_guests(self) -> list[FoundGuest]:
        return self.seat.ask("list_guests", lambda connection: listing.all_guests(connection, self.host.name))
