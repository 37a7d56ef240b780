"""What came of a live migration: found out from where the guest is, not from what was meant to happen."""

from __future__ import annotations

from contextlib import suppress

import libvirt

from servers.drivers.base import Disk, Guest, Moved
from servers.drivers.libvirt import domain_metadata, guest_presence, job, volume_sidecar
from servers.drivers.libvirt.domain_metadata import MigrationMetadata
from servers.drivers.libvirt.errors import JOB_OVER, ignore_libvirt_errors
from servers.drivers.libvirt.guest_presence import Presence, on_two_hosts
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.live import own_move
from servers.drivers.libvirt.volume_sidecar import Role, volume_name
from servers.errors import DriverFault, HypervisorTimeout, MigrationAborted, MigrationFailed

VERB = "live_migration"
ENDING_S = 15.0
"""For so long a move that was stopped may take to be over on both hosts."""
MOVES = frozenset(
    {libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT}
)


class Outcome:
    """The end of a guest's way from `source` to `destination`; `error` is libvirt's, where its call has raised one."""

    def __init__(
        self,
        source: HostSession,
        destination: HostSession,
        guest: Guest,
        error: libvirt.libvirtError | DriverFault | None,
        *,
        aborted: bool,
    ) -> None:
        self.source, self.destination, self.guest = source, destination, guest
        self.error, self.aborted = error, aborted

    def find(self) -> Moved:
        """Return how the guest was moved, from where it is now. Raises MigrationAborted, MigrationFailed, …

        While the move is still going on, or an aborted one is not over yet, nobody knows: that is waited for.
        """
        here = guest_presence.settled(self.source, self.guest, Presence.LEAVING, ENDING_S)
        if here in {Presence.LEAVING, Presence.ARRIVING}:
            raise self.source.unknown(VERB)  # it was only the watching that broke off
        if here is Presence.ALIVE:
            raise self._failed()
        there = guest_presence.see(self.destination, self.guest)
        if Presence.POSTCOPY_FAILED in {here, there}:
            raise DriverFault(
                message=f"Guest {self.guest.name} stands still: the way between {self.source.ref.name} and"
                f" {self.destination.ref.name} was lost while each had a part of its memory."
            )
        if there is Presence.ARRIVING:
            raise self.source.unknown(VERB)
        if there not in {Presence.ALIVE, Presence.LEAVING}:
            raise self.source.missing(self.guest) if here is Presence.ABSENT else self._stopped()
        return self._arrived()

    def _failed(self) -> DriverFault:
        """Return why the guest is still here.

        A destination that does not answer is not waited for: where libvirt is not sure that the guest does not run
        there it never lets it go on at the source. One that does is given the time to be empty again.
        """
        there = None
        with suppress(HypervisorTimeout):
            there = guest_presence.settled(self.destination, self.guest, Presence.ARRIVING, ENDING_S)
        if there is Presence.ARRIVING:
            return self.source.unknown(VERB)
        if there is Presence.ALIVE:
            return on_two_hosts(self.guest, self.source.ref, self.destination.ref)
        self._tidy(self.source)
        code = self.error.get_error_code() if isinstance(self.error, libvirt.libvirtError) else None
        if code == libvirt.VIR_ERR_OPERATION_ABORTED or self.aborted:
            return MigrationAborted(host=self.source.ref.name)
        reason = (
            "the migration ended without the guest having left" if self.error is None else str(self.error)
        )
        return MigrationFailed(host=self.source.ref.name, reason=reason)

    def _stopped(self) -> DriverFault:
        return DriverFault(
            message=f"Guest {self.guest.name} stopped at {self.source.ref.name} during its move."
        )

    def _arrived(self) -> Moved:
        """Return what libvirt has counted, and tidy what was written down for the move."""
        stats = self.destination.see(VERB, self._counted)
        self._tidy(self.destination)
        return Moved(
            downtime_ms=stats.get("downtime", 0),
            memory_bytes=stats.get("memory_processed", 0),
            disk_bytes=stats.get("disk_processed", 0),
        )

    def _counted(self, connection: libvirt.virConnect) -> Stats:
        """Return the last count of a move that is over, empty where it is forgotten."""
        domain = domain_of(connection, self.guest.uuid)
        stats: Stats = {}
        if domain is not None:
            flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
            with ignore_libvirt_errors(*JOB_OVER):
                stats = domain.jobStats(flags)
        return stats if stats.get("operation") in MOVES else {}

    # tidying up where the guest lives

    def _tidy(self, home: HostSession) -> None:
        """Take away what was written down for this move where the guest is at home now.

        Raises HypervisorTimeout where that is not done: who comes next finds the guest as it is, and goes on.
        """
        try:
            if home.see(VERB, lambda connection: self._is_untidy(connection, home)):
                home.ask(VERB, lambda connection: self._forget(connection, home), changes=True)
        except DriverFault as fault:
            raise home.unknown(VERB) from fault

    def _is_untidy(self, connection: libvirt.virConnect, home: HostSession) -> bool:
        """Return whether something of this move is left; not while a job runs, which would make writing wait."""
        domain = domain_of(connection, self.guest.uuid)
        if domain is None or not domain.isActive() or job.statistics(domain):
            return False
        return self._metadata(domain, home) is not None or bool(self._sidecars(connection, home))

    def _metadata(self, domain: libvirt.virDomain, home: HostSession) -> MigrationMetadata | None:
        metadata = own_move.announced(domain)
        return metadata if metadata is not None and metadata.owner in {"", home.owner} else None

    def _sidecars(self, connection: libvirt.virConnect, home: HostSession) -> list[Disk]:
        """Return the disks beside which this move has left a sidecar: where the guest lives they are no copies."""
        found = volume_sidecar.beside(connection, self.guest, Role.PREPARED, Role.MOVED)
        return [disk for disk, sidecar in found.items() if sidecar.owner in {"", home.owner}]

    def _forget(self, connection: libvirt.virConnect, home: HostSession) -> None:
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        metadata = self._metadata(domain, home)
        if metadata is not None:
            if metadata.autostart and home is self.destination:  # libvirt leaves it behind
                domain.setAutostart(1)
            domain_metadata.write(domain, None, own_move.LIVE)
        for disk in self._sidecars(connection, home):
            volume_sidecar.erase(connection, disk.pool, volume_name(disk))
