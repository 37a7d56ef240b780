"""What records and hypervisors can differ in: the kinds, a finding, and both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from servers.conductor.survey import Survey, runs_on
from servers.drivers.base import FoundGuest
from servers.models import ActionRecord, Allocation, Migration, Server
from servers.states import PowerState, VmState


class DifferenceKind(StrEnum):
    """What differs; repairs are done in this order."""

    GUEST_TWICE = "guest_twice"
    GUEST_MISSING = "guest_missing"
    GUEST_ELSEWHERE = "guest_elsewhere"
    COPY_LEFT = "copy_left"
    POWER_STATE = "power_state"
    TASK_WITHOUT_ACTION = "task_without_action"
    MIGRATION_WITHOUT_ACTION = "migration_without_action"
    MOVE_WAITS_FOR_NOBODY = "move_waits_for_nobody"
    ALLOCATION_MISSING = "allocation_missing"
    ALLOCATION_WRONG = "allocation_wrong"
    ALLOCATION_LEFT = "allocation_left"
    DESTINATION_LEFT = "destination_left"
    ACTION_WITHOUT_WORKER = "action_without_worker"


@dataclass(frozen=True)
class Finding:
    """One difference: what it is, where it was seen, and what would put it right."""

    kind: DifferenceKind
    server: UUID
    name: str
    what: str
    proposal: str
    hosts: tuple[str, ...] = ()
    safe: bool = False
    power: PowerState | None = None
    row: int = 0
    """The number of the migration or allocation that it is about."""


@dataclass
class Records:
    """The database's side, read before the hypervisors were asked."""

    servers: dict[UUID, Server]
    actions: dict[UUID, list[ActionRecord]]
    """Open ones."""
    migrations: dict[UUID, list[Migration]]
    """Those that are not over."""
    allocations: dict[UUID, list[Allocation]]
    """Those of a server, and of its migrations."""
    overdue_at: datetime
    """A lease that ran out before this has no worker."""


@dataclass
class Sight:
    """A server's guest as it was seen."""

    defined: dict[str, FoundGuest]
    prepared: dict[str, FoundGuest]
    everybody: bool
    """Whether every host has answered."""
    answered: frozenset[str]
    own_destinations: frozenset[str] = field(default=frozenset())
    """Hosts to which a move of ours was once to go."""

    @property
    def has_job(self) -> bool:
        """Return whether something is done with the guest, or may be: one that could not be read is not at rest."""
        seen = (*self.defined.values(), *self.prepared.values())
        return any(guest.job is not None or guest.unread for guest in seen)

    @property
    def alive(self) -> list[str]:
        return runs_on(self.defined)


def sight_of(
    places: dict[str, FoundGuest], found: Survey, own_destinations: frozenset[str] = frozenset()
) -> Sight:
    """Return what the survey says of one guest."""
    answered = frozenset(host for host, answer in found.items() if answer.value is not None)
    return Sight(
        defined={host: guest for host, guest in places.items() if not guest.prepared_only},
        prepared={host: guest for host, guest in places.items() if guest.prepared_only},
        everybody=len(answered) == len(found),
        answered=answered,
        own_destinations=own_destinations,
    )


def vm_edge(vm_state: str, power: PowerState) -> str | None:
    """Return the edge by which a server follows its guest, or None where it has nothing to follow."""
    if power is PowerState.RUNNING and vm_state in {VmState.STOPPED, VmState.PAUSED}:
        return "seen_running"
    if power in {PowerState.SHUTDOWN, PowerState.CRASHED} and vm_state in {VmState.ACTIVE, VmState.PAUSED}:
        return "seen_stopped"
    return None
