"""What an action may ask of the engine: when it is accepted, and while its steps run.

Definitions see these promises alone, so that they can be read, and tested, without a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

from servers.drivers.base import (
    Ability,
    Disk,
    FoundGuest,
    Guest,
    HostRef,
    MoveOptions,
    Progress,
    Saved,
    Snapshot,
)
from servers.errors import ActionFault, BelongsToAnother, Refusal
from servers.microversions import Microversion
from servers.policy import Context
from servers.states import MigrationStatus, MigrationType, PowerState


class MoveAllocations(StrEnum):
    """What becomes of the room on both hosts (Nova contract C.7)."""

    TO_DESTINATION = "move"
    """The guest is at its destination for good: the source's room is given back."""
    BACK_TO_SOURCE = "return"
    """The guest is at its source: the destination's room is given back."""


@dataclass(frozen=True)
class Change:
    """What is written in one transaction. Edges are named; one whose target is reached already is passed over.

    Every edge of `server` is taken; of `migration` the first that starts at its status.
    """

    server: tuple[str, ...] = ()
    migration: tuple[str, ...] = ()
    image: str | None = None
    host: str | None = None
    destination: str | None = None
    power_state: PowerState | None = None
    launched: bool = False
    progress: int | None = None
    downtime_ms: int | None = None
    allocations: MoveAllocations | None = None
    fault: ActionFault | None = None
    """Kept as the server's fault."""

    @property
    def is_of_server(self) -> bool:
        """Return whether it changes the server's row."""
        facts = (self.host, self.power_state, self.progress, self.fault)
        return bool(self.server) or self.launched or any(fact is not None for fact in facts)


@dataclass(frozen=True)
class Limits:
    """The deployment's options that steps go by."""

    migrate_max_retries: int
    max_attempts: int
    move: MoveOptions


@dataclass(frozen=True)
class ServerFacts:
    """A server as it was read a moment ago."""

    uuid: UUID
    name: str
    project_id: str
    vm_state: str
    task_state: str
    power_state: PowerState
    host: str | None
    locked_by: str
    volume_backed: bool
    launched_at: datetime | None
    image_properties: Mapping[str, Any]
    image_ref: str


@dataclass(frozen=True)
class MigrationFacts:
    """The migration record of an action."""

    id: int
    type: MigrationType
    status: MigrationStatus
    source: str
    destination: str
    old_vm_state: str


class FleetFacts(Protocol):
    """What can be known of the fleet without asking a hypervisor."""

    def knows(self, host: str) -> bool:
        """Return whether there is such a host."""
        ...

    def is_up(self, host: str) -> bool:
        """Return whether the host was heard of lately."""
        ...

    def migration_source(self, server: UUID) -> str | None:
        """Return the source of the server's finished migration, or None when it has none."""
        ...

    def reset_network_gone(self) -> bool:
        """Return whether resetNetwork is answered as by Nova since 23.0.0."""
        ...


class AcceptContext(Protocol):
    """Where an action is accepted: inside the transaction, with the server's row locked."""

    context: Context
    params: Mapping[str, Any]
    microversion: Microversion

    @property
    def server(self) -> ServerFacts: ...

    def create_image(
        self, *, name: str, backup_type: str, metadata: Mapping[str, str], uploaded: bool
    ) -> None:
        """Make the record of the image that the action will fill; its UUID is the answer."""
        ...

    def take_finished_migration(self, edge: str, missing: Refusal) -> None:
        """Take `edge` on the server's finished migration and bind it to the action. Raises `missing`."""
        ...

    def ask_running(self, migration: int, *, cancel: bool) -> None:
        """Ask the action that runs this migration to stop (or else to complete at once)."""
        ...

    def reset(self, edge: str) -> None:
        """Take `edge` on the server and end its task; a running exclusive action is taken over."""
        ...

    def set_lock(self, locked_by: str, reason: str) -> None:
        """Lock the server, or unlock it with an empty `locked_by`."""
        ...

    def require(self, rule: str) -> None:
        """Raise NotPermitted unless the policy rule lets the caller act on this server."""
        ...

    def migration(self, number: int) -> MigrationFacts | None:
        """Return a migration of the server, or None."""
        ...


A = TypeVar("A", bound=Ability)


class Task(Protocol):
    """An accepted action at work, under a lease: each write is refused when the lease was lost.

    What any step may ask. One that needs more says so in its signature: `PlacingTask`, `MovingTask`, `ImageTask`,
    `AgentTask`.
    """

    params: Mapping[str, Any]
    microversion: Microversion
    limits: Limits

    # -- facts

    @property
    def server(self) -> ServerFacts: ...
    @property
    def guest(self) -> Guest: ...
    @property
    def former_vm_state(self) -> str: ...
    @property
    def former_power_state(self) -> PowerState: ...
    @property
    def source(self) -> str:
        """The host on which the server was when the action was accepted."""
        ...

    @property
    def migration(self) -> MigrationFacts:
        """The migration of the action, or the one on which it acts."""
        ...

    @property
    def begun(self) -> Sequence[str]:
        """The names of the steps that were begun."""
        ...

    @property
    def effective(self) -> Sequence[str]:
        """The names of the steps that may have made something which is not undone."""
        ...

    # -- memo and record

    @property
    def memo(self) -> Mapping[str, Any]:
        """What earlier steps have left; kept across a crash."""
        ...

    def remember(self, **facts: Any) -> None:
        """Keep `facts` in the memo."""
        ...

    def record(self, change: Change) -> None:
        """Write `change` in one transaction."""
        ...

    def report(self, progress: Progress) -> None:
        """Keep the progress of the running job; hand it what was asked of it meanwhile."""
        ...

    def answer(self, **facts: Any) -> None:
        """Keep what the guest or the hypervisor answered with the action."""
        ...

    # -- checkpoint

    def is_cancelled(self) -> bool:
        """Return whether somebody has asked the action to stop."""
        ...

    def checkpoint(self) -> None:
        """Raise Cancelled when somebody has asked the action to stop."""
        ...

    # -- events

    def event(self, name: str, host: str = "") -> AbstractContextManager[None]:
        """Record an event around the block: Success, or Error with the fault that leaves it."""
        ...

    def open_event(self, name: str, host: str = "") -> None:
        """Begin an event that spans steps. Does nothing when it is open already."""
        ...

    def close_event(self, name: str, fault: ActionFault | None = None) -> None:
        """End the newest open event of this name. What is open at the action's end gets its result."""
        ...

    def add_facts(self, name: str, **facts: Any) -> None:
        """Keep facts with the newest event of this name."""
        ...

    # -- hosts

    def ability(self, kind: type[A], host: str) -> A:
        """Return the ability of `host` that the step `takes`. Raises the fault that says that the host lacks it."""
        ...

    def find_guest(self, host: str) -> FoundGuest | None:
        """Return the guest as it is on `host` at this moment, or None where it is not defined."""
        ...

    def clear_leftover(self, fault: BelongsToAnother) -> None:
        """Remove what the owner whom `fault` names has left of the guest. Raises it where that owner's work is not over."""
        ...


class AgentTask(Task, Protocol):
    """A task that speaks to the guest's agent."""

    def secret(self, name: str) -> str:
        """Return a secret parameter."""
        ...


class PlacingTask(Task, Protocol):
    """A task that chooses a host, and takes room there."""

    def select(
        self, event: str, *, requested: str | None = None, ignore: Iterable[str] = (), at_most: int = 0
    ) -> tuple[str, ...]:
        """Return hosts in the scheduler's order. Every host's reason is kept with the event. Raises NoValidHost."""
        ...

    def check_forced(self, host: str) -> None:
        """Check a destination that the scheduler is not asked about. Raises ActionFault."""
        ...

    def claim(self, host: str) -> None:
        """Allocate the server's resources on the destination. Raises ComputeResourcesUnavailable."""
        ...

    def check_group(self, host: str) -> None:
        """Do nothing while the server's group allows it on `host`. Raises GroupPolicyViolated.

        To be asked directly before the guest is touched: the group may have changed since `claim`.
        """
        ...

    def release(self) -> None:
        """Give back the room on the destination. Does nothing where none was claimed."""
        ...

    def place_disk(self, host: str, disk: Disk) -> None:
        """Write down where the disk of a new server lies."""
        ...


class MovingTask(PlacingTask, Protocol):
    """A task that brings the guest to another host, or back."""

    def open_migration(self, kind: MigrationType, destination: str = "") -> None:
        """Make the migration record, and let it hold the allocation of the source instead of the server."""
        ...

    def take_slot(self, edge: str) -> None:
        """Take `edge` on the migration when the source has a place for one more; waits its turn otherwise."""
        ...

    def host(self, name: str) -> HostRef:
        """Return how another host reaches this one. Raises ComputeHostNotFound."""
        ...

    def is_up(self, host: str) -> bool:
        """Return whether the host was heard of lately."""
        ...

    def guest_host(self, *hosts: str) -> str | None:
        """Return which of `hosts` has the guest, by asking them in order; None when none has it.

        Raises GuestOnTwoHosts; HypervisorUnavailable or HypervisorTimeout when that leaves the answer open.
        """
        ...

    def wait_for_job(self, host: str) -> None:
        """Wait until no move of the guest runs from `host`, be it that one was asked to stop a moment ago.

        Raises HypervisorTimeout where it runs on.
        """
        ...

    def alone_at(self, *hosts: str) -> None:
        """Do nothing when the guest runs nowhere but at one of `hosts`, and each host that may run it has answered.

        Raises GuestOnTwoHosts, HypervisorUnavailable.
        """
        ...

    def leave_behind(self, host: str, reason: str) -> None:
        """Write down that something of the move stays on `host`, and why; the reconciler removes it."""
        ...


class ImageTask(Task, Protocol):
    """A task that fills an image, or reads one."""

    def image_target(self) -> Path:
        """Return the path on which the image is to be written."""
        ...

    def keep_image(self, snapshot: Snapshot) -> None:
        """Make what was written the image, complete and verified. Raises ImageStoreFault."""
        ...

    def saved(self) -> Saved:
        """Return the backup of which this action makes a server. Raises ImageStoreFault."""
        ...

    def rotate_images(self, backup_type: str, keep: int) -> None:
        """Delete the oldest finished backups of this server and type beyond the newest `keep`.

        Only those count, and go, that the caller of the action may delete one by one; the others are named in its
        result. The store is asked for each before one is deleted. Raises ImageStoreFault, and then none was.
        """
        ...
