"""One live migration: begin it or attach to it, watch it, and find out what came of it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import fields, replace

import libvirt

from servers import clock
from servers.drivers.base import Disk, Guest, Moved, MoveOptions, OnProgress, Progress
from servers.drivers.libvirt import domain_metadata, guest_presence, job, volume_sidecar
from servers.drivers.libvirt.connections import own_connection
from servers.drivers.libvirt.domain_metadata import Direction
from servers.drivers.libvirt.errors import note
from servers.drivers.libvirt.guest_presence import Presence
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.live import own_move
from servers.drivers.libvirt.live.outcome import Outcome
from servers.drivers.libvirt.own_thread import OwnThread
from servers.drivers.libvirt.volume_sidecar import Role, volume_name
from servers.errors import DriverFault

VERB = "live_migration"
POLL_S = 1.0
BEGINNING_S = 3.0
"""For so long libvirt may show no job of a migration that has begun (measured: up to 1 s)."""
ALWAYS = (
    libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)


class Move:
    """A guest on its way from `source` to `destination`."""

    def __init__(
        self, source: HostSession, destination: HostSession, guest: Guest, options: MoveOptions
    ) -> None:
        self.source, self.destination = source, destination
        self.guest, self.options = guest, options
        self.error: libvirt.libvirtError | DriverFault | None = None
        self.seen = Progress()
        self.forced = self.aborted = False

    # beginning

    def begin(self, disks: list[Disk], on_progress: OnProgress) -> None:
        """Start the migration and watch it to its end."""
        thread = OwnThread(
            f"move of {self.guest.name}",
            lambda: own_connection(self.source.ref.uri),
            lambda connection: self._migrate(connection, disks),
        )
        try:
            self.source.reach(thread, VERB)
            self.source.ask(VERB, lambda connection: self._announce(connection, disks), changes=True)
            self.source.fence.prove()
            thread.put()
        finally:
            thread.leave()
        self._watch(thread, on_progress)

    def _announce(self, connection: libvirt.virConnect, disks: list[Disk]) -> None:
        """Write down where the guest goes, and which disks will be left behind."""
        domain = domain_of(connection, self.guest.uuid)
        if domain is None:
            raise self.source.missing(self.guest)
        there, owner = self.destination.ref, self.source.owner
        for disk in disks:
            sidecar = volume_sidecar.of_disk(self.guest, Role.MOVED, there, owner)
            volume_sidecar.write(connection, disk.pool, volume_name(disk), sidecar)
        facts = {"post_copy": self.options.post_copy, "autostart": bool(domain.autostart())}
        domain_metadata.write(
            domain, domain_metadata.of_move(Direction.LIVE, there, owner, **facts), own_move.LIVE
        )

    def _migrate(self, connection: libvirt.virConnect, disks: list[Disk]) -> None:
        """Let libvirt move the guest; returns when it has. On a connection of its own, whose calls it may block."""
        domain = connection.lookupByUUIDString(str(self.guest.uuid))
        metadata = own_move.announced(domain)
        if metadata is None or (metadata.uri, metadata.migration) != (
            self.destination.ref.uri,
            self.source.owner,
        ):
            raise DriverFault(message=f"Guest {self.guest.name} is announced for another move by now.")
        domain.migrateToURI3(self.destination.ref.uri, self._parameters(disks), self._flags(disks))

    def _flags(self, disks: list[Disk]) -> int:
        flags: int = ALWAYS
        if disks:
            flags |= libvirt.VIR_MIGRATE_NON_SHARED_DISK
        if self.options.auto_converge:
            flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
        if self.options.post_copy:
            flags |= libvirt.VIR_MIGRATE_POSTCOPY
        if self.options.native_tls:
            flags |= libvirt.VIR_MIGRATE_TLS
        return flags

    def _parameters(self, disks: list[Disk]) -> dict[str, object]:
        found: dict[str, object] = {}
        if disks:
            found[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = [disk.device for disk in disks]
        if self.options.bandwidth_mib_s:
            found[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = self.options.bandwidth_mib_s
        return found

    # attaching

    def has_begun(self) -> bool:
        """Return whether somebody's migration begins just now: it was announced, and soon shows a job."""
        end = time.monotonic() + BEGINNING_S
        while self.source.see(VERB, self._is_announced):
            if guest_presence.see(self.source, self.guest) is not Presence.ALIVE:
                return True
            if time.monotonic() > end:
                return False
            clock.sleep(POLL_S / 4)
        return False

    def _is_announced(self, connection: libvirt.virConnect) -> bool:
        domain = domain_of(connection, self.guest.uuid)
        metadata = None if domain is None else own_move.announced(domain)
        return metadata is not None and metadata.uri != self.source.ref.uri

    def attach(self, on_progress: OnProgress) -> None:
        """Watch a migration that somebody else has begun."""
        self._watch(None, on_progress)

    # watching

    def _watch(self, call: OwnThread[libvirt.virConnect, None] | None, on_progress: OnProgress) -> None:
        """Report until the migration is over; what on_progress raises leaves it running."""
        while not self._is_over(call):
            stats = self.source.see(VERB, self._statistics)
            if call is None and not stats:
                return
            if stats.get("time_elapsed") and (stats.get("memory_total") or stats.get("disk_total")):
                on_progress(self._onward(job.progress(stats)))
                self._mind_the_time(stats)

    def _is_over(self, call: OwnThread[libvirt.virConnect, None] | None) -> bool:
        """Wait for the time between two looks; return whether libvirt's call has ended meanwhile."""
        if call is None:
            clock.sleep(POLL_S)
            return False
        if not call.is_over(POLL_S):
            return False
        try:
            call.answer()
        except (libvirt.libvirtError, DriverFault) as error:
            self.error = error
            if isinstance(error, libvirt.libvirtError):
                note(self.source.ref, error)
        return True

    def _statistics(self, connection: libvirt.virConnect) -> Stats:
        domain = domain_of(connection, self.guest.uuid)
        return {} if domain is None else job.statistics(domain)

    def _onward(self, now: Progress) -> Progress:
        """Return the progress, with no counter below what was reported before: libvirt restarts some for memory."""
        processed = ("memory_processed_bytes", "disk_processed_bytes", "iteration")
        never_less = {name: max(getattr(now, name), getattr(self.seen, name)) for name in processed}
        rest = {f.name: getattr(now, f.name) for f in fields(Progress) if f.name not in never_less}
        self.seen = Progress(**rest, **never_less)
        return self.seen

    def _mind_the_time(self, stats: Stats) -> None:
        """End the migration as was wanted when it has lasted too long; what is not taken is asked for again."""
        limit_s = self.options.completion_timeout_s
        if not limit_s or self.forced or self.aborted or stats["time_elapsed"] < limit_s * 1000:
            return
        session, guest = self.source, self.guest
        with suppress(DriverFault):  # the move goes on, and how it ends is seen
            if self.options.timeout_action != "force_complete":
                abort = f"{VERB}_abort"
                self.aborted = session.ask(abort, lambda c: own_move.abort(c, session, guest), changes=True)
            elif session.ask(VERB, lambda c: own_move.can_be_forced(c, session, guest)):
                force = f"{VERB}_force_complete"
                self.forced = session.ask(force, lambda c: own_move.force(c, session, guest), changes=True)

    # the outcome

    def outcome(self) -> Moved:
        """Return how the guest was moved, from where it is now. Raises what `Outcome.find` raises."""
        moved = Outcome(self.source, self.destination, self.guest, self.error, aborted=self.aborted).find()
        # libvirt's last count no longer has the disks
        return replace(moved, disk_bytes=max(moved.disk_bytes, self.seen.disk_processed_bytes))
