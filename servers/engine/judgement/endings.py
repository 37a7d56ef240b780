"""How an action ends that an operator closes: records follow what was seen; no hypervisor is called."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn
from uuid import UUID

from servers.actions import definitions
from servers.actions.base import Action, Exclusivity, Step
from servers.actions.task import Change, MoveAllocations
from servers.edges import MIGRATION_EDGES, VM_EDGES
from servers.engine.capacity import claims
from servers.engine.judgement.cases import Case
from servers.engine.records.changes import write_migration
from servers.errors import (
    CannotClose,
    CannotUndo,
    GuestSeenTwice,
    HostAnswers,
    HostsSilent,
    HostUnknown,
    Judged,
    NotKnown,
)
from servers.models import ActionRecord, Migration, Server
from servers.states import MIGRATION_OVER, ImageStatus, MigrationStatus, MigrationType, PowerState, VmState

NOT_SEEN = "the guest is seen on no host that has answered"
ELSEWHERE = "the guest is seen on {seen}, and not on {wanted}"
MOVES = "the guest is being moved from {hosts} at this moment"
INCOMPLETE = "its image is not complete"
BEHIND = "{step} has happened, and behind it there is only forward. Let it be looked at again, or close it"

OFF = frozenset({PowerState.SHUTDOWN, PowerState.CRASHED})


class Outcome(StrEnum):
    """How an operator may close an action."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def edge(self) -> str:
        """Return the edge of the action's status."""
        return "succeed" if self is Outcome.SUCCEEDED else "fail"


@dataclass(frozen=True)
class Ending:
    """What is written when an action is closed."""

    change: Change
    migration: tuple[str, ...] = ()
    """Edges of the migration, applied one after the other."""
    charges: bool = False
    """Whether the migration ends too, and the allocations are set to where the guest is."""
    drops_image: bool = False


# ------------------------------------------------------------------------------------------------- checks


def refuse_living(case: Case, dead: Collection[str]) -> None:
    """Check that each host of `dead` is recorded, and was silent. Raises HostUnknown, HostAnswers."""
    for name in dead:
        host = case.host(name)
        if host is None:
            raise HostUnknown(host=name)
        if not host.is_silent:
            raise HostAnswers(host=name)


def definition_of(action: ActionRecord) -> type[Action] | None:
    """Return the action's definition, or None when this process does not have it in the record's version."""
    found = definitions.get(action.slug)
    return found if found is not None and found.version == action.definition else None


def switch_of(action: ActionRecord, *, forward_only: bool = False) -> Step | None:
    """Return the step after which the action only goes forward, by its journal, or None.

    That is a switch; with `forward_only` also a forward-only step that had an effect, which no undo takes
    back.
    """
    definition = definition_of(action)
    for step in definition.steps if definition else ():
        stays = forward_only and step.forward_only and step.name in action.effective
        if stays or step.is_behind(action.begun, action.effective):
            return step
    return None


def refuse_strange(action: ActionRecord) -> None:
    """Check that a worker of this version would claim the action. Raises NotKnown."""
    if definition_of(action) is None:
        raise NotKnown(action=action.request_id)


def refuse_undo(action: ActionRecord) -> None:
    """Check that what the action has made can be undone. Raises CannotUndo, NotKnown."""
    refuse_strange(action)
    step = switch_of(action, forward_only=True)
    if step is not None:
        raise CannotUndo(reason=BEHIND.format(step=step.name))


# ----------------------------------------------------------------------------------------------- the ending


def ending_of(case: Case, outcome: Outcome, fault: Judged, dead: Collection[str] = ()) -> Ending:
    """Return what is written when the action is closed with `outcome`; a failed server gets `fault`.

    Hosts of `dead` need not have answered. An action that shares its server with others changes nothing but
    its own record. Raises GuestSeenTwice, HostsSilent or CannotClose when the evidence does not allow the
    outcome.
    """
    if not has_its_server(case.action):
        return Ending(Change())  # the server's state is another action's
    refuse_unseen(case, outcome, dead)
    refuse_other_place(case, outcome)
    succeeded = outcome is Outcome.SUCCEEDED
    way = way_of(case, outcome)
    waits = "finish" in way
    change = Change(
        server=(*vm_edges(case, waits=waits), "end_task"),
        host=case.at,
        power_state=case.power_state,
        launched=waits or (succeeded and makes_server(case.action)),
        progress=0,
        fault=None if succeeded else fault,
    )
    return Ending(change, way, charges=True, drops_image=drops_image(case, outcome))


def has_its_server(action: ActionRecord) -> bool:
    """Return whether the action alone may have changed its server, so that its end ends the server's task."""
    definition = definition_of(action)
    if definition is None:
        return bool(action.exclusive)
    return definition.exclusivity is Exclusivity.EXCLUSIVE


def makes_server(action: ActionRecord) -> bool:
    """Return whether the action makes its server; then its image is what the server is made from."""
    definition = definition_of(action)
    return definition is not None and definition.makes_server


def refuse(outcome: Outcome, reason: str) -> NoReturn:
    """Raise CannotClose with this reason."""
    raise CannotClose(outcome=outcome.value, reason=reason)


def refuse_unseen(case: Case, outcome: Outcome, dead: Collection[str]) -> None:
    """Check that the evidence says where the guest is. Raises GuestSeenTwice, HostsSilent, CannotClose."""
    if len(case.runs_on) > 1:
        raise GuestSeenTwice(server=case.server.pk, hosts=" and ".join(case.runs_on))
    silent = case.unanswered(dead)
    if silent:
        raise HostsSilent(hosts=" and ".join(silent), server=case.server.pk)
    if case.is_moving:
        refuse(outcome, MOVES.format(hosts=" and ".join(case.is_moving)))


def refuse_other_place(case: Case, outcome: Outcome) -> None:
    """Check that a success can be seen: the guest where it should be, the image complete. Raises CannotClose.

    A failure always passes.
    """
    if outcome is Outcome.FAILED:
        return
    if case.at is None:
        refuse(outcome, NOT_SEEN)
    wanted = destination_of(case.migration)
    if wanted and case.at != wanted:
        refuse(outcome, ELSEWHERE.format(seen=case.at, wanted=wanted))
    if case.image is None or case.image.never_uploaded or makes_server(case.action):
        return
    if case.image.status != ImageStatus.ACTIVE:
        refuse(outcome, INCOMPLETE)


def destination_of(migration: Migration | None) -> str:
    """Return the host of the guest after a success; "" when the action moves nothing."""
    if migration is None:
        return ""
    reverted = migration.status in {MigrationStatus.REVERTING, MigrationStatus.REVERTED}
    return str(migration.source_compute if reverted else migration.dest_compute)


def drops_image(case: Case, outcome: Outcome) -> bool:
    """Return whether the image that the action makes is deleted when the action is closed.

    After a success only one that was never uploaded; after a failure any, except a complete one for which
    older backups may have been deleted already.
    """
    if case.image is None or makes_server(case.action):
        return False
    if outcome is Outcome.SUCCEEDED or case.image.status != ImageStatus.ACTIVE:
        return outcome is Outcome.FAILED or bool(case.image.never_uploaded)
    return definition_of(case.action) is not None and switch_of(case.action) is None


def vm_edges(case: Case, *, waits: bool) -> tuple[str, ...]:
    """Return the edges of vm_state that lead the server to what was seen; `waits` adds the one to RESIZED.

    A guest that is seen nowhere: a server that was to be made is deleted, if every host that matters has
    answered; any other server gets ERROR.
    """
    if case.at is None:
        is_new = makes_server(case.action) and case.server.vm_state == VmState.BUILDING
        all_said = not any(host.matters and host.is_silent for host in case.hosts)
        return ("vanish",) if is_new and all_said else ("set_error",)
    return (*edges_to(case), *(("await_confirmation",) if waits else ()))


def edges_to(case: Case) -> tuple[str, ...]:
    """Return the edges by which vm_state follows the guest's power state; () when they agree."""
    state = VmState(case.server.vm_state)
    if case.power_state is PowerState.RUNNING:
        return () if state is VmState.RESCUED else ("reset_active",)
    if case.power_state in OFF:
        return () if state in {VmState.STOPPED, VmState.SUSPENDED} else ("reset_active", "resume_stopped")
    if by_action := edges_of(case.action, state, case.power_state):
        return by_action
    keeps = {VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED, VmState.RESCUED}
    return () if state in keeps else ("reset_active",)


def edges_of(action: ActionRecord, state: VmState, power: PowerState | None) -> tuple[str, ...]:
    """Return the edge that the action takes itself from `state` to that of a guest which stands still; () where none."""
    definition = definition_of(action)
    if definition is None or power is not PowerState.PAUSED:
        return ()
    taken = [edge for edge in VM_EDGES if edge.name in definition.edges and state in edge.sources]
    return tuple(edge.name for edge in taken if edge.target == VmState.PAUSED)


# ---------------------------------------------------------------------------------------------- migrations


def way_of(case: Case, outcome: Outcome) -> tuple[str, ...]:
    """Return the edges to the migration's end; () when the action has none, or when it is over.

    A failure ends it in status failed or error. So does any outcome of a cold move after os-resetState: the
    server's state was set by then, and does not wait for a confirmation.
    """
    migration = case.migration
    if migration is None or migration.status in MIGRATION_OVER:
        return ()
    status, end = MigrationStatus(migration.status), end_of(migration)
    reset = case.action.overtaken_by_id is not None and end is MigrationStatus.FINISHED
    if outcome is Outcome.FAILED or reset:
        edges = [edge for edge in MIGRATION_EDGES if edge.name in {"fail", "set_error"}]
        return tuple(edge.name for edge in edges if status in edge.sources)[:1]
    return shortest(status, end)


def end_of(migration: Migration) -> MigrationStatus:
    """Return the status of a migration of this type and status after a success."""
    if migration.migration_type == MigrationType.LIVE:
        return MigrationStatus.COMPLETED
    ends = {
        MigrationStatus.CONFIRMING: MigrationStatus.CONFIRMED,
        MigrationStatus.REVERTING: MigrationStatus.REVERTED,
    }
    return ends.get(MigrationStatus(migration.status), MigrationStatus.FINISHED)


def shortest(start: MigrationStatus, end: MigrationStatus) -> tuple[str, ...]:
    """Return the names of the fewest edges from one migration status to another; () when there is no path."""
    ways: list[tuple[str, tuple[str, ...]]] = [(start, ())]
    for status, names in ways:
        if status == end:
            return names
        known = {reached for reached, _ in ways}
        ways += [
            (edge.target, (*names, edge.name))
            for edge in MIGRATION_EDGES
            if status in edge.sources and edge.target not in known and goes_on(edge.target, end)
        ]
    return ()


def goes_on(target: str, end: MigrationStatus) -> bool:
    """Return whether a path may lead to `target`: it is the end, or the migration is not over in it."""
    return target == end or target not in MIGRATION_OVER


def end_migration(case: Case, names: Iterable[str]) -> str:
    """Apply the edges to the case's migration; return the host on which something of the move may be left.

    "" when the migration is not over, or the other host has said that it has nothing. Runs in the caller's
    transaction and locks the migration.
    """
    if case.migration is None:
        return ""
    migration = Migration.objects.select_for_update().get(pk=case.migration.pk)
    for name in names:
        write_migration(migration, (name,))
    arrived = case.at == migration.dest_compute
    other = case.host(migration.source_compute if arrived else migration.dest_compute)
    has_something = other is not None and (other.is_silent or other.answer.value is not None)
    return other.name if other and has_something and migration.status in MIGRATION_OVER else ""


def allocate_as_seen(server_id: UUID, migration_id: int | None) -> None:
    """Write the server's allocation on the host where it is now, after the end of its migration, if any.

    A migration that waits to be confirmed keeps its allocation on the source; a deleted server keeps none.
    Runs in the caller's transaction.
    """
    server = Server.objects.select_related("host").get(pk=server_id)
    if server.vm_state == VmState.DELETED:
        claims.deallocate(server.pk)
        return
    if migration_id is not None:
        move = Migration.objects.get(pk=migration_id)
        there = server.host is not None and server.host.name == move.dest_compute
        if move.status != MigrationStatus.FINISHED:
            claims.finish_move_allocations(
                server.pk,
                move.pk,
                MoveAllocations.TO_DESTINATION if there else MoveAllocations.BACK_TO_SOURCE,
            )
    claims.allocate(server)
