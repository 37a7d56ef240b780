"""What records and hypervisors can differ in: a finding, and both sides of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servers.drivers.base import FoundGuest, HostRef
from servers.fleet.polling import Survey, runs_on
from servers.models import ActionRecord, Allocation, Migration, Server
from servers.states import DifferenceKind, PowerState, VmState


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
    owner: str = ""
    """To which migration, image or action belongs what is to be removed, as its host says; empty where it does not."""
    home: str = ""
    """Where the guest was seen while something of it is to be removed elsewhere."""
    action: UUID | None = None
    """The action that it is about."""


@dataclass(frozen=True)
class Found:
    """A finding, and what became of its repair; empty where none was tried."""

    finding: Finding
    outcome: str = ""


@dataclass(frozen=True)
class Report:
    """What one pass has found. `silent` are the hosts that did not answer, each with the reason."""

    found: tuple[Found, ...]
    silent: dict[str, str]
    hosts: int


@dataclass
class Records:
    """The database's side, read before the hypervisors were asked."""

    hosts: dict[str, HostRef]
    servers: dict[UUID, Server]
    actions: dict[UUID, list[ActionRecord]]
    """Open ones."""
    migrations: dict[UUID, list[Migration]]
    """Those that are not over."""
    allocations: dict[UUID, list[Allocation]]
    """Those of a server, and of its migrations."""
    owed: dict[UUID, list[ActionRecord]]
    """Those that are over, and have left something that they could not undo."""
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
    asked: frozenset[str] = frozenset()
    moves: tuple[Migration, ...] = ()
    """Moves of ours, where more is there of the guest than itself."""

    @property
    def own_destinations(self) -> frozenset[str]:
        """Hosts to which a move of ours was once to go."""
        return frozenset(move.dest_compute for move in self.moves)

    def move_of(self, guest: FoundGuest) -> Migration | None:
        """Return the move of ours to which belongs what a host has of the guest, None where it is none."""
        return next((move for move in self.moves if guest.owner and str(move.uuid) == guest.owner), None)

    @property
    def has_job(self) -> bool:
        """Return whether something is done with the guest, or may be: one that could not be read is not at rest."""
        seen = (*self.defined.values(), *self.prepared.values())
        return any(guest.job is not None or guest.unread for guest in seen)

    @property
    def alive(self) -> list[str]:
        return runs_on(self.defined)


def sight_of(places: dict[str, FoundGuest], found: Survey, moves: tuple[Migration, ...] = ()) -> Sight:
    """Return what the survey says of one guest."""
    answered = frozenset(host for host, answer in found.items() if answer.value is not None)
    return Sight(
        defined={host: guest for host, guest in places.items() if not guest.prepared_only},
        prepared={host: guest for host, guest in places.items() if guest.prepared_only},
        everybody=len(answered) == len(found),
        answered=answered,
        asked=frozenset(found),
        moves=moves,
    )


def vm_edge(vm_state: str, power: PowerState) -> str | None:
    """Return the edge by which a server follows its guest, or None where it has nothing to follow."""
    if power is PowerState.RUNNING and vm_state in {VmState.STOPPED, VmState.PAUSED}:
        return "seen_running"
    if power in {PowerState.SHUTDOWN, PowerState.CRASHED} and vm_state in {VmState.ACTIVE, VmState.PAUSED}:
        return "seen_stopped"
    return None
