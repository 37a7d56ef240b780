"""Moving a guest that is shut down for it. Its definition carries a mark, its copied disks have notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import libvirt
from lxml import etree

from servers.drivers.base import ColdMigration, Disk, Guest, HostRef, OnProgress
from servers.drivers.libvirt import checks, copied, definitions, marks, notes, power, whereabouts
from servers.drivers.libvirt.cold.disk_copy import DiskCopy
from servers.drivers.libvirt.marks import Mark, Way
from servers.drivers.libvirt.notes import Role, volume_name
from servers.drivers.libvirt.pools import volume_at
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence, on_two_hosts, refuse_if_alive
from servers.errors import (
    DiskMoveRolledBack,
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
)
from servers.states import PowerState

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
T = TypeVar("T")


class LibvirtColdMigration(ColdMigration):
    """One host's part in cold migrations."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        there = self.seat.at(destination)
        disks = self._obstacles(guest, there)
        self._domain("migrate_disk_and_power_off", guest, lambda domain: _announce(domain, destination))
        self.power_off(guest)
        try:
            DiskCopy(self.seat, there, guest, disks).run(on_progress)
        except (HypervisorUnavailable, HypervisorTimeout, DriverFault) as fault:
            self._roll_back(guest, there)
            raise DiskMoveRolledBack(reason=str(fault)) from fault

    def _obstacles(self, guest: Guest, there: Seat) -> list[Disk]:
        """Return the disks to copy. Raises DiskMoveRolledBack where that cannot be: nothing has happened yet."""
        found = copied.found(self.seat, guest)
        if found.job is not None:
            raise DiskMoveRolledBack(reason=f"another job runs for it ({found.job})")
        try:
            presence = whereabouts.ask(there, guest)
            disks = copied.to_copy(self.seat, there, found.disks)
            pools = {pool.name for pool in copied.host_pools(there)}
            obstacle = checks.obstacle_while_off(self.seat, there, guest, disks)
        except (HypervisorUnavailable, HypervisorTimeout) as fault:
            raise DiskMoveRolledBack(reason=str(fault)) from fault
        if presence is not Presence.ABSENT:
            raise DiskMoveRolledBack(reason=f"{there.ref.name} has the guest already")
        for disk in disks:
            if disk.pool not in pools:
                raise DiskMoveRolledBack(reason=f"{there.ref.name} has no pool {disk.pool or disk.path}")
        if obstacle:
            raise DiskMoveRolledBack(reason=obstacle)
        return disks

    def _roll_back(self, guest: Guest, there: Seat) -> None:
        """Let the guest be as it was. Raises DriverFault when it cannot be."""

        def back(domain: libvirt.virDomain) -> None:
            mark = marks.read(domain, CONFIG)
            if mark is not None and mark.was_running:
                power.start(domain)
            _forget(domain, mark)

        self._domain("migrate_disk_and_power_off", guest, back)

    def finish(self, guest: Guest, source: HostRef, *, power_on: bool) -> PowerState:
        origin = self.seat.at(source)
        if whereabouts.ask(self.seat, guest) is Presence.ABSENT:
            self._define(guest, origin)
        return self._started("finish_migration", guest, origin, power_on=power_on)

    def _define(self, guest: Guest, origin: Seat) -> None:
        """Define the guest here as it is defined at the source. Raises DriverFault where a disk did not come."""

        def definition(connection: libvirt.virConnect) -> tuple[str, bool] | None:
            domain = domain_of(connection, guest.uuid)
            if domain is None:
                return None
            mark = marks.read(domain, CONFIG)
            secrets = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE
            return domain.XMLDesc(secrets), mark is not None and mark.autostart

        answer = origin.ask("finish_migration", definition)
        if answer is None:
            raise origin.missing(guest)
        xml, autostart = answer
        disks = copied.to_copy(origin, self.seat, copied.found(origin, guest).disks)
        tree = definitions.parse(xml)
        marks.into(tree, marks.mark(Way.FROM, origin.ref))

        def define(connection: libvirt.virConnect) -> None:
            for disk in disks:
                known = notes.read(connection, disk.pool, volume_name(disk))
                complete = known is not None and known.role is Role.COPIED and known.guest == str(guest.uuid)
                if not complete or volume_at(connection, disk.path) is None:
                    raise DriverFault(message=f"Disk {disk.path} has not come to host {self.seat.ref.name}.")
            connection.defineXML(etree.tostring(tree, encoding="unicode")).setAutostart(int(autostart))

        self.seat.ask("finish_migration", define, changes=True)

    def _started(self, verb: str, guest: Guest, peer: Seat | None, *, power_on: bool) -> PowerState:
        """Return the guest's power state, started if asked; never while it is alive at `peer`."""
        now = self._domain(verb, guest, power.state)
        if not power_on or now in {PowerState.RUNNING, PowerState.PAUSED}:
            return now
        if peer is not None:
            refuse_if_alive(peer, guest, self.seat.ref)
        return self._domain(verb, guest, power.start)

    def confirm(self, guest: Guest) -> None:
        mark = self._mark("confirm_migration", guest)
        if mark is None:
            return
        if mark.way is not Way.TO:
            raise DriverFault(
                message=f"Guest {guest.name} was not moved away from host {self.seat.ref.name}."
            )
        peer = self.seat.at_noted(mark.peer())
        copies = self._copies(guest, peer)

        def remove(connection: libvirt.virConnect) -> None:
            domain = domain_of(connection, guest.uuid)
            if domain is None:
                return
            if domain.isActive():
                raise on_two_hosts(guest, self.seat.ref, peer.ref)
            for disk in copies:
                volume = volume_at(connection, disk.path)
                if volume is not None:
                    volume.delete()
                notes.erase(connection, disk.pool, volume_name(disk))
            domain.undefineFlags(UNDEFINE)

        self.seat.ask("confirm_migration", remove, changes=True)
        peer.ask("confirm_migration", lambda connection: _settle(connection, guest, copies), changes=True)

    def _copies(self, guest: Guest, peer: Seat) -> list[Disk]:
        """Return which of this host's disks have a verified copy at `peer`, where the guest must be defined."""
        disks = copied.found(self.seat, guest).disks

        def verified(connection: libvirt.virConnect) -> list[Disk]:
            if domain_of(connection, guest.uuid) is None:
                raise peer.missing(guest)
            uuid = str(guest.uuid)
            known = {disk: notes.read(connection, disk.pool, volume_name(disk)) for disk in disks}
            return [
                d for d, n in known.items() if n is not None and n.role is Role.COPIED and n.guest == uuid
            ]

        return peer.ask("confirm_migration", verified)

    def discard(self, guest: Guest) -> None:
        mark = self._mark("revert", guest)
        if mark is not None and mark.way is not Way.FROM:
            raise on_two_hosts(guest, self.seat.ref)
        self._refuse_unless_kept(guest, mark)

        def remove(connection: libvirt.virConnect) -> None:
            domain = domain_of(connection, guest.uuid)
            if domain is not None:
                power.stop(domain, 0)
                domain.undefineFlags(UNDEFINE)
            notes.remove_disks(connection, guest, Role.PREPARED, Role.COPIED)

        self.seat.ask("revert", remove, changes=True)

    def _refuse_unless_kept(self, guest: Guest, mark: Mark | None) -> None:
        """Raise DriverFault where this copy may be all there is of the guest: the other host must have it still."""

        def look(connection: libvirt.virConnect) -> tuple[bool, list[notes.Note]]:
            of_role = (notes.of_guest(connection, guest, role) for role in (Role.PREPARED, Role.COPIED))
            return domain_of(connection, guest.uuid) is not None, [
                note for found in of_role for note in found
            ]

        defined, copies = self.seat.ask("revert", look)
        if defined and mark is None:
            raise on_two_hosts(guest, self.seat.ref)
        peers = {note.peer() for note in copies} | ({mark.peer()} if mark is not None else set())
        for peer in peers:
            copied.found(self.seat.at_noted(peer), guest)

    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        mark = self._mark("finish_revert_migration", guest, required=True)
        peer = self.seat.at_noted(mark.peer()) if mark is not None and mark.way is Way.TO else None
        state = self._started("finish_revert_migration", guest, peer, power_on=power_on)
        self._domain("finish_revert_migration", guest, lambda domain: _forget(domain, mark))
        return state

    def power_off(self, guest: Guest) -> PowerState:
        patience = self.seat.settings.shutdown_s
        limit = patience + self.seat.settings.timeout_s
        return self._domain("power_off", guest, lambda domain: power.stop(domain, patience), limit_s=limit)

    def _domain(
        self, verb: str, guest: Guest, act: Callable[[libvirt.virDomain], T], *, limit_s: float | None = None
    ) -> T:
        """Do something with the guest's domain. Raises GuestNotFound."""

        def do(connection: libvirt.virConnect) -> T:
            domain = domain_of(connection, guest.uuid)
            if domain is None:
                raise self.seat.missing(guest)
            return act(domain)

        return self.seat.ask(verb, do, changes=True, limit_s=limit_s)

    def _mark(self, verb: str, guest: Guest, *, required: bool = False) -> Mark | None:
        """Return the mark of the guest's definition. Raises GuestNotFound where it is required and not there."""

        def read(connection: libvirt.virConnect) -> Mark | None:
            domain = domain_of(connection, guest.uuid)
            if domain is None and required:
                raise self.seat.missing(guest)
            return None if domain is None else marks.read(domain, CONFIG)

        return self.seat.ask(verb, read)


def _announce(domain: libvirt.virDomain, destination: HostRef) -> None:
    """Write down where the guest goes and how it was; a host that boots meanwhile must not start it."""
    known = marks.read(domain, CONFIG)
    if known is not None and known.way is Way.TO and known.uri == destination.uri:
        was_running = known.was_running or bool(domain.isActive())
        marks.write(domain, replace(known, was_running=was_running), CONFIG)
        return
    facts = {"was_running": bool(domain.isActive()), "autostart": bool(domain.autostart())}
    marks.write(domain, marks.mark(Way.TO, destination, **facts), CONFIG)
    domain.setAutostart(0)


def _forget(domain: libvirt.virDomain, mark: Mark | None) -> None:
    """Take the mark off, and let the guest start with its host again if it did."""
    if mark is not None:
        domain.setAutostart(int(mark.autostart))
        marks.write(domain, None, CONFIG)


def _settle(connection: libvirt.virConnect, guest: Guest, disks: list[Disk]) -> None:
    """Let the guest be at home where it was moved to: what is there is no copy any more."""
    for disk in disks:
        notes.erase(connection, disk.pool, volume_name(disk))
    domain = domain_of(connection, guest.uuid)
    if domain is not None:
        marks.write(domain, None, CONFIG)
