"""The comparison of one server with what was seen of its guest; it asks and writes nothing.

A finding is safe when its repair changes records alone (or removes what a recorded action left on a host) and
every host that matters has answered; every other finding is left to an operator, with the evidence.
"""

from __future__ import annotations

from collections.abc import Iterator

from servers.engine.capacity.claims import needs
from servers.inventory.reconciliation.at_rest import AtRest
from servers.inventory.reconciliation.differences import Finding, Records, Sight, vm_edge
from servers.inventory.reconciliation.remains import copies, leftovers
from servers.models import ActionRecord, Allocation, Migration, Server
from servers.states import DifferenceKind, MigrationStatus, PowerState, TaskState, VmState


def differences(server: Server, sight: Sight, records: Records) -> Iterator[Finding]:
    """Yield what differs for one server.

    A server with an open action yields only ACTION_WITHOUT_WORKER, and only when a lease ended before
    `records.overdue_at`: the worker, or its successor, changes the records.
    """
    actions = records.actions.get(server.pk, [])
    if actions:
        yield from _without_worker(server, actions, records)
        return
    yield from Comparison(server, sight, records).findings()


def _without_worker(server: Server, actions: list[ActionRecord], records: Records) -> Iterator[Finding]:
    for action in actions:
        if action.lease_until is not None and action.lease_until < records.overdue_at:
            what = f"{action.name} ({action.request_id}) runs, but its worker {action.worker} is silent"
            yield Finding(
                DifferenceKind.ACTION_WITHOUT_WORKER,
                server.pk,
                server.name,
                what,
                "Start a worker: manage.py work. It goes on from there.",
            )


class Comparison(AtRest):
    """What differs for one server without an open action."""

    def findings(self) -> Iterator[Finding]:
        """Yield what differs.

        A guest with a process on several hosts is the only finding then. Of a deleted server only the
        allocations are compared.
        """
        if self.server.deleted_at is not None:
            yield from (self._left(allocation, "the deleted server") for allocation in self.allocations)
            return
        alive = self.sight.alive
        if len(alive) > 1:
            yield self.finding(
                DifferenceKind.GUEST_TWICE,
                f"runs on {' and '.join(alive)}",
                "Decide which one is right, and stop the other by hand: they write to the same disks.",
                hosts=tuple(alive),
            )
            return
        yield from self._place()
        yield from self._power()
        yield from self._task()
        yield from self._moves()
        yield from self._room()
        yield from leftovers(self)

    def _place(self) -> Iterator[Finding]:
        places = sorted(self.sight.defined)
        if self.recorded and self.recorded not in self.sight.answered:
            return
        if self.recorded and not places:
            yield self.finding(
                DifferenceKind.GUEST_MISSING,
                f"is recorded on {self.recorded}, and seen on no host{'' if self.sight.everybody else ' that has answered'}",
                "Look for its disks. manage.py discover puts the server into error.",
                hosts=(self.recorded,),
            )
        elif self.here and self.here != self.recorded:
            guest = self.sight.defined[self.here]
            yield self.finding(
                DifferenceKind.GUEST_ELSEWHERE,
                f"runs on {self.here}, is recorded on {self.recorded}",
                f"Record {self.here} as its host.",
                safe=self.is_certain,
                hosts=(self.here,),
                power=guest.power_state,
            )
        elif places and (self.recorded not in places or not self._runs_nowhere_else()):
            yield self.finding(
                DifferenceKind.GUEST_ELSEWHERE,
                f"is on {' and '.join(places)}, is recorded on {self.recorded or 'no host'}",
                "Find out which one is right. manage.py discover records it.",
                hosts=tuple(places),
            )
        else:
            yield from copies(self)

    def _power(self) -> Iterator[Finding]:
        guest = self.sight.defined.get(self.here)
        if guest is None or self.here != self.recorded or guest.power_state is PowerState.NOSTATE:
            return
        known = PowerState(self.server.power_state)
        if guest.power_state is known and vm_edge(self.server.vm_state, known) is None:
            return
        yield self.finding(
            DifferenceKind.POWER_STATE,
            f"is {guest.power_state.word} on {self.here}, is recorded as {known.word} ({self.server.vm_state})",
            f"Record what is seen: {guest.power_state.word}.",
            safe=self.is_certain,
            hosts=(self.here,),
            power=guest.power_state,
        )

    def _task(self) -> Iterator[Finding]:
        if self.server.task_state != TaskState.IDLE:
            yield self.finding(
                DifferenceKind.TASK_WITHOUT_ACTION,
                f"has the task {self.server.task_state}, and nobody works on it",
                "End the task." if self.is_certain else "Find out where the guest is, then reset its state.",
                safe=self.is_certain,
            )

    def _moves(self) -> Iterator[Finding]:
        for move in self.migrations:
            if move.status == MigrationStatus.FINISHED:
                if move is not self.waiting:
                    yield self._waits_for_nobody(move)
                continue
            yield self.finding(
                DifferenceKind.MIGRATION_WITHOUT_ACTION,
                f"migration {move.pk} ({move.source_compute} to {move.dest_compute or '?'}) is {move.status},"
                " and nobody works on it",
                "End the migration, and charge the host on which the guest is."
                if self.is_certain
                else "Find out where the guest is; the migration is ended when that is certain.",
                safe=self.is_certain,
                row=move.pk,
            )
        if self.server.vm_state == VmState.RESIZED and self.waiting is None:
            yield self.finding(
                DifferenceKind.MOVE_WAITS_FOR_NOBODY,
                "waits to be confirmed or reverted, and has no migration that is finished",
                "Reset its state to active when the guest is well.",
            )

    def _waits_for_nobody(self, move: Migration) -> Finding:
        return self.finding(
            DifferenceKind.MOVE_WAITS_FOR_NOBODY,
            f"migration {move.pk} waits to be confirmed, but the server is {self.server.vm_state}",
            f"Remove the old copy on {move.source_compute} by hand when the guest is well on {self.recorded or '?'}.",
            hosts=(move.source_compute,),
            row=move.pk,
        )

    def _room(self) -> Iterator[Finding]:
        """Yield allocations that are wrong, unless the repair of another finding allocates anew."""
        if not self.under_way and self.here in {"", self.recorded}:
            yield from self._own_room()
        for allocation in self.allocations:
            move = allocation.migration
            if move is None or move.pk in self.under_way or move.status == MigrationStatus.FINISHED:
                continue
            yield self._left(allocation, f"migration {move.pk}, which is {move.status},")

    def _own_room(self) -> Iterator[Finding]:
        own = next((a for a in self.allocations if a.migration_id is None), None)
        expected = self.recorded
        if not expected:
            if own is not None:
                yield self._left(own, "the server, which is on no host,")
            return
        if own is None:
            yield self.finding(
                DifferenceKind.ALLOCATION_MISSING,
                f"holds no room on {expected}",
                f"Charge {expected}.",
                safe=self.is_certain,
                hosts=(expected,),
            )
            return
        holds, wants = (own.vcpus, own.memory_mb, own.disk_gb), needs(self.server)
        if own.host.name == expected and holds == wants:
            return
        yield self.finding(
            DifferenceKind.ALLOCATION_WRONG,
            f"holds {_size(holds)} on {own.host.name}, should hold {_size(wants)} on {expected}",
            f"Charge {expected} for {_size(wants)}.",
            safe=self.is_certain,
            hosts=(own.host.name,),
        )

    def _left(self, allocation: Allocation, holder: str) -> Finding:
        host = allocation.host.name
        there = host in self.sight.defined and host != self.recorded
        return self.finding(
            DifferenceKind.ALLOCATION_LEFT,
            f"{holder} still holds room on {host}",
            f"Give it back: {_size((allocation.vcpus, allocation.memory_mb, allocation.disk_gb))}.",
            safe=host in self.sight.answered and not there and not self.sight.has_job,
            hosts=(host,),
            row=allocation.pk,
        )


def _size(amounts: tuple[int, int, int]) -> str:
    return "{} vCPU, {} MiB, {} GiB".format(*amounts)
