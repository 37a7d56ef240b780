"""A guest arrives at its new host, shut down: it is defined over its copied disks, and started."""

from __future__ import annotations

from dataclasses import dataclass

import libvirt
from lxml import etree

from servers.drivers.base import Disk, Guest
from servers.drivers.libvirt import copied, definitions, domain_metadata, volume_sidecar
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.definitions import Node
from servers.drivers.libvirt.domain_metadata import Direction
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.pools import volume_at
from servers.drivers.libvirt.volume_sidecar import Role, volume_name
from servers.errors import DriverFault
from servers.states import PowerState

VERB = "finish_migration"


@dataclass(frozen=True)
class Origin:
    """What the source has of the guest: its definition, and whether it starts with its host."""

    definition: Node
    autostart: bool
    disks: list[Disk]


class Arriving:
    """The second half of a cold migration, as it is done at the destination `here`."""

    def __init__(self, here: HostSession, origin: HostSession, guest: Guest) -> None:
        self.here, self.origin, self.guest = here, origin, guest

    def run(self, *, power_on: bool) -> PowerState:
        """Return the guest's power state here, defined and started if asked."""
        now = standing.look(self.here, VERB, self.guest)
        if now is None:
            self._define()
            now = standing.see(self.here, VERB, self.guest)
        if (
            now.metadata is not None
            and now.metadata.way is Direction.ENDED
            and now.metadata.migration == self.here.owner
        ):
            return now.state  # it was finished and confirmed before
        standing.require(self.here, self.guest, now, Direction.INCOMING)
        if now.alive or not power_on:
            return now.state
        return standing.start(self.here, VERB, self.guest, self.origin, Direction.INCOMING)

    def _define(self) -> None:
        """Define the guest here as it is defined at the source. Raises DriverFault where a disk did not come."""
        origin = self._origin()
        self.here.ask(VERB, lambda connection: self._require_disks(connection, origin.disks))
        metadata = domain_metadata.of_move(Direction.INCOMING, self.origin.ref, self.here.owner)
        domain_metadata.into(origin.definition, metadata)
        xml = etree.tostring(origin.definition, encoding="unicode")

        def define(connection: libvirt.virConnect) -> None:
            self._require_disks(connection, origin.disks)
            if domain_of(connection, self.guest.uuid) is None:
                connection.defineXML(xml).setAutostart(int(origin.autostart))

        self.here.ask(VERB, define, changes=True)

    def _origin(self) -> Origin:
        """Return what the source has of the guest, which must have been moved away from there by this very move."""

        def look(connection: libvirt.virConnect) -> tuple[standing.Standing, str] | None:
            domain = domain_of(connection, self.guest.uuid)
            secrets = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE
            return None if domain is None else (standing.of(domain), domain.XMLDesc(secrets))

        answer = self.origin.ask(VERB, look)
        now = standing.require(
            self.origin, self.guest, None if answer is None else answer[0], Direction.OUTGOING
        )
        assert answer is not None
        disks = copied.to_copy(self.origin, self.here, copied.found(self.origin, self.guest).disks)
        autostart = now.metadata is not None and now.metadata.autostart
        return Origin(definitions.parse(answer[1]), autostart, disks)

    def _require_disks(self, connection: libvirt.virConnect, disks: list[Disk]) -> None:
        """Raise DriverFault where a disk is not complete here, BelongsToAnother where it came by another move."""
        for disk in disks:
            known = volume_sidecar.read(connection, disk.pool, volume_name(disk))
            complete = known is not None and known.role is Role.COPIED and known.guest == str(self.guest.uuid)
            if known is not None and complete:
                self.here.require_own(self.guest, known.owner)
            if not complete or volume_at(connection, disk.path) is None:
                raise DriverFault(message=f"Disk {disk.path} has not come to host {self.here.ref.name}.")
