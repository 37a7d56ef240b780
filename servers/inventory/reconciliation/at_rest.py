"""A server without an open action: where its guest certainly is, and where it may be."""

from __future__ import annotations

from uuid import UUID

from servers.inventory.reconciliation.differences import Finding, Records, Sight
from servers.models import Server
from servers.states import DifferenceKind, MigrationStatus, PowerState, VmState


class AtRest:
    """One server without an open action, with its records and what was seen of its guest.

    `waiting` is the migration that waits to be confirmed or reverted, `old_copy` the host of its old copy.
    `under_way` has the numbers of the migrations that are neither over nor finished. `here` is the one host
    where the guest certainly is, or empty.
    """

    def __init__(self, server: Server, sight: Sight, records: Records) -> None:
        self.server = server
        self.sight = sight
        self.migrations = records.migrations.get(server.pk, [])
        self.allocations = records.allocations.get(server.pk, [])
        self.recorded = server.host.name if server.host else ""
        waiting = [m for m in self.migrations if m.status == MigrationStatus.FINISHED]
        self.waiting = waiting[-1] if waiting and server.vm_state == VmState.RESIZED else None
        self.old_copy = self.waiting.source_compute if self.waiting else ""
        self.under_way = {m.pk for m in self.migrations if m not in waiting}
        self.older_copies = {m.source_compute for m in waiting if m is not self.waiting}
        self.here = self._here()
        self.owed = records.owed.get(server.pk, [])

    def _here(self) -> str:
        """Return the one host where the guest certainly is, or an empty string.

        The recorded host, when the guest is defined there and has a process there alone; or when it has no
        process at all, and is defined nowhere else but at the host of the old copy. Another host, when the
        guest has a process there, is defined nowhere else, every host has answered, and no migration waits to
        be confirmed.
        """
        places = set(self.sight.defined)
        if self.recorded in places:
            alone = places <= {self.recorded, self.old_copy} and not self.sight.alive
            return self.recorded if alone or self.sight.alive == [self.recorded] else ""
        moved = len(places) == 1 and self.sight.alive == list(places)
        certain = moved and self.sight.everybody and self.recorded and not self.old_copy
        return self.sight.alive[0] if certain else ""

    def _runs_nowhere_else(self) -> bool:
        return self.sight.alive in ([], [self.recorded])

    @property
    def is_certain(self) -> bool:
        """Return whether records may be repaired: it is known where the guest is, and it has no job."""
        return bool(self.here) and not self.sight.has_job

    @property
    def is_whole(self) -> bool:
        """Return whether the guest is defined on the host where it certainly is."""
        return self.here in self.sight.defined

    def finding(
        self,
        kind: DifferenceKind,
        what: str,
        proposal: str,
        *,
        safe: bool = False,
        hosts: tuple[str, ...] = (),
        power: PowerState | None = None,
        row: int = 0,
        owner: str = "",
        action: UUID | None = None,
    ) -> Finding:
        """Return a finding about this server; the host where the guest certainly is becomes its `home`."""
        server = self.server
        return Finding(
            kind, server.pk, server.name, what, proposal, hosts, safe, power, row, owner, self.here, action
        )
