"""A server on which nobody works, beside what was seen of its guest: where it is for certain, and where it may be."""

from __future__ import annotations

from uuid import UUID

from servers.inventory.reconciliation.differences import Finding, Records, Sight
from servers.models import Server
from servers.states import DifferenceKind, MigrationStatus, PowerState, VmState


class AtRest:
    """One server at rest, and what was seen of its guest."""

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
        """Return the one host of which it is certain that the guest is there and nowhere else, or ""."""
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
        """Return whether records may be put right: the guest is known to be in one place, and no job moves it."""
        return bool(self.here) and not self.sight.has_job

    @property
    def is_whole(self) -> bool:
        """Return whether the guest runs, or at least is defined, at its own host."""
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
        server = self.server
        return Finding(
            kind, server.pk, server.name, what, proposal, hosts, safe, power, row, owner, self.here, action
        )
