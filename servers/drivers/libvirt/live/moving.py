"""One live migration: begin it or attach to it, watch it, and find out what came of it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import fields, replace

import libvirt

from servers import clock
from servers.drivers.base import Disk, Guest, Moved, MoveOptions, OnProgress, Progress
from servers.drivers.libvirt import job, marks, notes, whereabouts
from servers.drivers.libvirt.connections import connect
from servers.drivers.libvirt.errors import JOB_OVER, forgiven
from servers.drivers.libvirt.job import Stats
from servers.drivers.libvirt.live import ending
from servers.drivers.libvirt.live.outcome import Outcome, unknown
from servers.drivers.libvirt.marks import Way
from servers.drivers.libvirt.notes import Role, volume_name
from servers.drivers.libvirt.seat import Seat, domain_of, in_thread
from servers.drivers.libvirt.whereabouts import Presence
from servers.errors import (
    HypervisorTimeout,
    HypervisorUnavailable,
)

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

    def __init__(self, source: Seat, destination: Seat, guest: Guest, options: MoveOptions) -> None:
        self.source, self.destination = source, destination
        self.guest, self.options = guest, options
        self.error: libvirt.libvirtError | None = None
        self.seen = Progress()
        self.forced = self.aborted = False

    # beginning

    def begin(self, disks: list[Disk], on_progress: OnProgress) -> None:
        """Start the migration and watch it to its end."""
        self.source.ask("live_migration", lambda connection: self._announce(connection, disks), changes=True)
        self._watch(in_thread(f"move of {self.guest.name}", lambda: self._migrate(disks)), on_progress)

    def _announce(self, connection: libvirt.virConnect, disks: list[Disk]) -> None:
        """Write down where the guest goes, and which disks will be left behind."""
        domain = domain_of(connection, self.guest.uuid)
        if domain is None:
            raise self.source.missing(self.guest)
        there = self.destination.ref
        for disk in disks:
            note = notes.note(self.guest, Role.MOVED, there)
            notes.write(connection, disk.pool, volume_name(disk), note)
        facts = {"post_copy": self.options.post_copy, "autostart": bool(domain.autostart())}
        mark = marks.mark(Way.LIVE, there, **facts)
        marks.write(domain, mark, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _migrate(self, disks: list[Disk]) -> None:
        """Let libvirt move the guest; returns when it has. On a connection of its own, whose calls it may block."""
        connection = connect(self.source.ref.uri)
        try:
            domain = connection.lookupByUUIDString(str(self.guest.uuid))
            domain.migrateToURI3(self.destination.ref.uri, self._parameters(disks), self._flags(disks))
        finally:
            connection.close()

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
        while self.source.ask("live_migration", self._is_announced):
            if whereabouts.ask(self.source, self.guest) is not Presence.ALIVE:
                return True
            if time.monotonic() > end:
                return False
            clock.sleep(POLL_S / 4)
        return False

    def _is_announced(self, connection: libvirt.virConnect) -> bool:
        domain = domain_of(connection, self.guest.uuid)
        if domain is None or not domain.isActive():
            return False
        mark = marks.read(domain, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        return mark is not None and mark.way is Way.LIVE and mark.uri != self.source.ref.uri

    def attach(self, on_progress: OnProgress) -> None:
        """Watch a migration that somebody else has begun."""
        self._watch(None, on_progress)

    # watching

    def _watch(self, call: Future[None] | None, on_progress: OnProgress) -> None:
        """Report until the migration is over; what on_progress raises leaves it running."""
        while not self._is_over(call):
            try:
                stats = self.source.ask("live_migration", self._statistics)
            except (HypervisorUnavailable, HypervisorTimeout) as fault:
                raise unknown(self.source) from fault
            if call is None and not stats:
                return
            if stats.get("time_elapsed") and (stats.get("memory_total") or stats.get("disk_total")):
                on_progress(self._onward(job.progress(stats)))
                self._mind_the_time(stats)

    def _is_over(self, call: Future[None] | None) -> bool:
        """Wait for the time between two looks; return whether libvirt's call has ended meanwhile."""
        if call is None:
            clock.sleep(POLL_S)
            return False
        try:
            call.result(POLL_S)
        except NotYet:
            return False
        except libvirt.libvirtError as error:
            self.error = error
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
        """End the migration as was wanted when it has lasted too long."""
        limit_s = self.options.completion_timeout_s
        if not limit_s or self.forced or self.aborted or stats["time_elapsed"] < limit_s * 1000:
            return
        if self.options.timeout_action == "force_complete":
            self.forced = self.source.ask("live_migration_force_complete", self._force, changes=True)
        else:
            self.aborted = True
            self.source.ask("live_migration_abort", self._abort, changes=True)

    def _force(self, connection: libvirt.virConnect) -> bool:
        domain = domain_of(connection, self.guest.uuid)
        return domain is not None and ending.force(domain)

    def _abort(self, connection: libvirt.virConnect) -> None:
        domain = domain_of(connection, self.guest.uuid)
        if domain is not None:
            with forgiven(*JOB_OVER):
                domain.abortJob()

    # the outcome

    def outcome(self) -> Moved:
        """Return how the guest was moved, from where it is now. Raises what `Outcome.find` raises."""
        moved = Outcome(self.source, self.destination, self.guest, self.error, aborted=self.aborted).find()
        # libvirt's last count no longer has the disks
        return replace(moved, disk_bytes=max(moved.disk_bytes, self.seen.disk_processed_bytes))
