"""What a comparison works with: the records, what was seen of a guest, and the findings."""

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
    """One difference between records and guest of a server: `what` it is, and the `proposal` of a repair."""

    kind: DifferenceKind
    server: UUID
    name: str
    what: str
    proposal: str
    hosts: tuple[str, ...] = ()
    safe: bool = False
    power: PowerState | None = None
    row: int = 0
    """Primary key of the migration or allocation that the finding is about; 0 for none."""
    owner: str = ""
    """UUID of the migration, image or action that owns what is to be removed, as the host says; or empty."""
    home: str = ""
    """The host where the guest certainly was; it is asked again before something is removed elsewhere."""
    action: UUID | None = None
    """Primary key of the action record that the finding is about."""


@dataclass(frozen=True)
class Found:
    """A finding with the outcome of its repair; the outcome is empty when no repair was tried."""

    finding: Finding
    outcome: str = ""


@dataclass(frozen=True)
class Report:
    """The result of one pass. `silent` is the reason of each host without an answer; `hosts` were asked."""

    found: tuple[Found, ...]
    silent: dict[str, str]
    hosts: int


@dataclass
class Records:
    """The recorded side, read before hosts are asked; all but `hosts` by the server's UUID."""

    hosts: dict[str, HostRef]
    servers: dict[UUID, Server]
    actions: dict[UUID, list[ActionRecord]]
    """Actions that are open."""
    migrations: dict[UUID, list[Migration]]
    """Migrations that are not over."""
    allocations: dict[UUID, list[Allocation]]
    """Allocations of the server and of its migrations."""
    owed: dict[UUID, list[ActionRecord]]
    """Actions that are over and have left something on a host that they could not undo."""
    overdue_at: datetime
    """An open action whose lease ended before this time has no worker."""


@dataclass
class Sight:
    """What the survey says of one guest; `defined` and `prepared` have the guest by host name."""

    defined: dict[str, FoundGuest]
    prepared: dict[str, FoundGuest]
    everybody: bool
    """Whether every host has answered."""
    answered: frozenset[str]
    asked: frozenset[str] = frozenset()
    moves: tuple[Migration, ...] = ()
    """Every migration of the server; empty unless the guest is on several hosts, or prepared on one."""

    @property
    def own_destinations(self) -> frozenset[str]:
        """Return the hosts that were the destination of one of `moves`."""
        return frozenset(move.dest_compute for move in self.moves)

    def move_of(self, guest: FoundGuest) -> Migration | None:
        """Return the migration that owns what a host has of the guest, or None."""
        return next((move for move in self.moves if guest.owner and str(move.uuid) == guest.owner), None)

    @property
    def has_job(self) -> bool:
        """Return whether the guest has a job on a host, or could not be read there and so may have one."""
        seen = (*self.defined.values(), *self.prepared.values())
        return any(guest.job is not None or guest.unread for guest in seen)

    @property
    def alive(self) -> list[str]:
        """Return, sorted, the hosts on which the guest has a process (polling.runs_on)."""
        return runs_on(self.defined)


def sight_of(places: dict[str, FoundGuest], found: Survey, moves: tuple[Migration, ...] = ()) -> Sight:
    """Return what the survey `found` says of one guest, which is in `places` by host name."""
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
    """Return the edge by which vm_state follows the guest's power state, or None when vm_state stays."""
    if power is PowerState.RUNNING and vm_state in {VmState.STOPPED, VmState.PAUSED}:
        return "seen_running"
    if power in {PowerState.SHUTDOWN, PowerState.CRASHED} and vm_state in {VmState.ACTIVE, VmState.PAUSED}:
        return "seen_stopped"
    return None
