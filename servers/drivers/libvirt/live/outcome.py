"""What came of a live migration: found out from where the guest is, not from what was meant to happen."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Guest, Moved
from servers.drivers.libvirt import job, marks, notes, whereabouts
from servers.drivers.libvirt.errors import JOB_OVER, forgiven
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.notes import Role, volume_name
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import Presence
from servers.errors import (
    DriverFault,
    HypervisorTimeout,
    HypervisorUnavailable,
    MigrationAborted,
    MigrationFailed,
)


class Outcome:
    """The end of a guest's way from `source` to `destination`; `error` is libvirt's, where its call has raised one."""

    def __init__(
        self,
        source: Seat,
        destination: Seat,
        guest: Guest,
        error: libvirt.libvirtError | None,
        *,
        aborted: bool,
    ) -> None:
        self.source, self.destination, self.guest = source, destination, guest
        self.error, self.aborted = error, aborted

    def find(self) -> Moved:
        """Return how the guest was moved, from where it is now. Raises MigrationAborted, MigrationFailed, …"""
        try:
            here = whereabouts.ask(self.source, self.guest)
            if here is Presence.LEAVING:
                raise unknown(self.source)  # it was only the watching that broke off
            if here is Presence.ALIVE:
                raise self._failed()
            there = whereabouts.ask(self.destination, self.guest)
        except (HypervisorUnavailable, HypervisorTimeout) as fault:
            raise unknown(self.source) from fault
        if Presence.TORN in {here, there}:
            raise DriverFault(
                message=f"Guest {self.guest.name} stands still: the way between {self.source.ref.name} and"
                f" {self.destination.ref.name} was lost while each had a part of its memory."
            )
        if there is Presence.ARRIVING:
            raise unknown(self.source)
        if there is not Presence.ALIVE:
            raise self.source.missing(self.guest) if here is Presence.ABSENT else self._stopped()
        return self.destination.ask("live_migration", self._arrived, changes=True)

    def _failed(self) -> DriverFault:
        """Return why the guest is still here.

        The destination need not be asked: where libvirt is not sure that the guest does not run there it never
        lets it go on at the source.
        """
        self.source.ask("live_migration", self._forget)
        code = None if self.error is None else self.error.get_error_code()
        if code == libvirt.VIR_ERR_OPERATION_ABORTED or self.aborted:
            return MigrationAborted(host=self.source.ref.name)
        reason = (
            "the migration ended without the guest having left" if self.error is None else str(self.error)
        )
        return MigrationFailed(host=self.source.ref.name, reason=reason)

    def _forget(self, connection: libvirt.virConnect) -> None:
        """Tidy what was written down for a guest that stays; not while a job runs, which would make this wait."""
        domain = domain_of(connection, self.guest.uuid)
        if domain is not None and domain.isActive() and not job.statistics(domain):
            marks.write(domain, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            self._erase_notes(connection)

    def _erase_notes(self, connection: libvirt.virConnect) -> None:
        """Take the notes off the guest's disks: where it lives they are no copies."""
        for disk in self.guest.disks:
            known = notes.read(connection, disk.pool, volume_name(disk))
            if known is not None and known.guest == str(self.guest.uuid) and known.role is not Role.COPIED:
                notes.erase(connection, disk.pool, volume_name(disk))

    def _stopped(self) -> DriverFault:
        return DriverFault(
            message=f"Guest {self.guest.name} stopped at {self.source.ref.name} during its move."
        )

    def _arrived(self, connection: libvirt.virConnect) -> Moved:
        """Return what libvirt has counted, and tidy what was written down for the move."""
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
        stats: Stats = {}
        with forgiven(*JOB_OVER):
            stats = domain.jobStats(flags)
        if stats.get("operation") not in {
            libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN,
            libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT,
        }:
            stats = {}
        mark = marks.read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if mark is not None and mark.autostart:  # libvirt leaves it behind
            domain.setAutostart(1)
        marks.write(domain, None, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        self._erase_notes(connection)
        return Moved(
            downtime_ms=stats.get("downtime", 0),
            memory_bytes=stats.get("memory_processed", 0),
            disk_bytes=stats.get("disk_processed", 0),
        )


def unknown(source: Seat) -> HypervisorTimeout:
    """Return the fault that says that nobody knows yet."""
    limit = f"{source.settings.timeout_s:g}"
    return HypervisorTimeout(host=source.ref.name, verb="live_migration", limit_s=limit)
