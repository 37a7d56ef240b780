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
from servers.drivers.libvirt.errors import ignore_libvirt_errors, is_lost
from servers.drivers.libvirt.guest_power import LibvirtPower
from servers.drivers.libvirt.host_session import HostSession, Settings, domain_of
from servers.drivers.libvirt.live import LibvirtLiveMigration
from servers.drivers.libvirt.restore import LibvirtRestore


class LibvirtDriver(Driver):
    """A host that libvirt drives. It holds no state but this process' connection to the host."""

    live_migration: LibvirtLiveMigration
    cold_migration: LibvirtColdMigration
    power: LibvirtPower
    agent: LibvirtGuestAgent
    backup: LibvirtBackup
    restore: LibvirtRestore

    def __init__(self, host: HostRef, fence: Fence, settings: Settings) -> None:
        super().__init__(host, fence)
        self.session = HostSession(host, settings, fence)
        self.live_migration = LibvirtLiveMigration(self.session)
        self.cold_migration = LibvirtColdMigration(self.session)
        self.power = LibvirtPower(self.session)
        self.agent = LibvirtGuestAgent(self.session)
        self.backup = LibvirtBackup(self.session)
        self.restore = LibvirtRestore(self.session)

    def describe(self) -> HostInfo:
        shared = self.session.settings.shared_pools
        return self.session.ask("describe", lambda connection: describing.host_info(connection, shared))

    def find_guest(self, guest: UUID) -> FoundGuest | None:
        def find(connection: libvirt.virConnect) -> FoundGuest | None:
            domain = domain_of(connection, guest)
            if domain is not None:
                with ignore_libvirt_errors(
                    libvirt.VIR_ERR_NO_DOMAIN
                ):  # it was removed while it was looked at
                    return _with_owner(connection, domain, describing.seen_guest(connection, domain))
            return None

        return self.session.ask("find_guest", find)

    def list_guests(self) -> list[FoundGuest]:
        return self.session.ask(
            "list_guests", lambda connection: listing.all_guests(connection, self.host.name)
        )

    def disown(self, guest: Guest) -> None:
        disowning.disown(self.session, guest)


def _with_owner(connection: libvirt.virConnect, domain: libvirt.virDomain, found: FoundGuest) -> FoundGuest:
    """Return the guest with what is noted beside its disks, where its metadata says nothing, and that can be read."""
    if found.owner or found.unread:
        return found
    try:
        return replace(found, owner=describing.sidecar_owner(connection, domain, found.disks))
    except (libvirt.libvirtError, UnicodeDecodeError) as error:
        if isinstance(error, libvirt.libvirtError) and is_lost(error):
            raise
        return found  # a pool that is away hides no guest
