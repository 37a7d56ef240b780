"""What every hypervisor driver promises. Plain dataclasses cross this seam; a driver never sees a model.

A driver speaks to one host. All of it is divided by what a host must do (`Driver`) and what only some can (the entries of
`ABILITIES`); a missing ability is None and is known before the click. Promises that hold for every verb:

* It raises only faults of `servers.errors`; a library's own exceptions are translated here, once.
* It is idempotent: asked again after a crash it finds out what has already happened and goes on from there.
  A job that is already running for that guest (and destination) is re-attached to, never started twice.
* What `on_progress` raises passes through, and leaves the job running: whoever comes next re-attaches.
* HypervisorTimeout means that the outcome is not known; any other fault means that the promise written at the
  verb about where the guest is holds.
* It changes a host in somebody's name: directly before each effect it calls `fence.prove()`, and directly before it
  starts a guest `fence.prove_alone(...)`; a call that is refused has called neither. A driver that was opened without
  a fence can only look.
* What it makes for a move or a backup carries the fence's owner. A verb that stops or removes something raises
  BelongsToAnother where what is there belongs to somebody else, and touches nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, get_type_hints
from uuid import UUID

from servers.errors import ActionFault, MigrationPreCheckError, NotSupported
from servers.states import PowerState


@dataclass(frozen=True)
class HostRef:
    """How to reach a host: its name, the driver's name, its connection URI and its domain type."""

    name: str
    driver: str
    uri: str
    domain_type: str = "kvm"


class Fence(Protocol):
    """In whose name a host is changed, and the proof that it still may be."""

    @property
    def owner(self) -> UUID:
        """The migration, image or action that the work belongs to."""
        ...

    def prove(self) -> None:
        """Do nothing while the work is the caller's own. Raises LeaseLost as soon as it is somebody else's."""
        ...

    def prove_alone(self, guest: Guest, host: str) -> None:
        """Do nothing when the guest may be started on `host`: no other host runs it, and each that may has answered.

        Raises GuestOnTwoHosts, HypervisorUnavailable, HypervisorTimeout, LeaseLost.
        """
        ...


class Looking:
    """The fence of a driver that was opened to look: it lets nothing be changed."""

    owner = UUID(int=0)

    def prove(self) -> None:
        raise NotSupported(host="", verb="change anything: it was opened to look")

    def prove_alone(self, guest: Guest, host: str) -> None:
        self.prove()


LOOKING = Looking()


@dataclass(frozen=True)
class Pool:
    """A storage pool as a host sees it. Two hosts share it when `identity` is the same and `shared` is true."""

    name: str
    identity: str
    shared: bool
    capacity_bytes: int
    available_bytes: int


@dataclass(frozen=True)
class HostInfo:
    """What a host says of itself. `version` is libvirt's number: 1000000 × major + 1000 × minor + release."""

    hypervisor_type: str
    hypervisor_version: int
    hostname: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    cpu_model: str = ""
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True)
class Disk:
    """A disk of a guest: where it lies and how large it is, as promised to the guest and as used."""

    device: str
    path: str
    pool: str
    size_bytes: int
    used_bytes: int
    format: str = "qcow2"


@dataclass(frozen=True)
class Route:
    """An extra route: `destination` in CIDR form."""

    destination: str
    gateway: str


@dataclass(frozen=True)
class Nic:
    """A network interface with all that the guest has to know of it; addresses in CIDR form."""

    mac: str
    network: str
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    routes: tuple[Route, ...] = ()
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guest:
    """A guest as it should be: what a host needs to run it."""

    uuid: UUID
    name: str
    vcpus: int
    memory_mb: int
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()


class JobKind(StrEnum):
    LIVE_MIGRATION = "live_migration"
    DISK_MOVE = "disk_move"
    BACKUP = "backup"
    RESTORE = "restore"


@dataclass(frozen=True)
class Progress:
    """How far a job is, in bytes. `iteration` counts the rounds over memory; rates are per second."""

    memory_total_bytes: int = 0
    memory_processed_bytes: int = 0
    memory_remaining_bytes: int = 0
    disk_total_bytes: int = 0
    disk_processed_bytes: int = 0
    disk_remaining_bytes: int = 0
    iteration: int = 0
    rate_bytes_s: int = 0
    dirty_rate_bytes_s: int = 0
    throttle_percent: int = 0


OnProgress = Callable[[Progress], None]
"""Called about once a second while a job runs."""


@dataclass(frozen=True)
class FoundGuest:
    """A guest as it was found on a host."""

    uuid: UUID
    name: str
    power_state: PowerState
    job: JobKind | None = None
    job_destination: str | None = None
    agent: bool = False
    memory_mb: int = 0
    vcpus: int = 0
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    """As the guest's definition has them: hardware address and network; a hypervisor knows no IP addresses."""
    prepared_only: bool = False
    """True where a destination has been prepared but the guest has never run there."""
    owner: str = ""
    """The migration, image or action to which what is here belongs, as a UUID; empty where nothing says so."""
    unread: str = ""
    """Why no more could be read of it than where it is, and how it is; what was not read is empty then."""


@dataclass(frozen=True)
class Moved:
    """The end of a live migration: how long the guest stood still, and all that was copied."""

    downtime_ms: int
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class MoveOptions:
    """How to move a running guest. bandwidth_mib_s=0 means unlimited.

    With native_tls its memory and the disks that are copied cross the network encrypted.
    """

    block_migration: bool | None = None
    disk_over_commit: bool | None = None
    bandwidth_mib_s: int = 0
    auto_converge: bool = False
    post_copy: bool = False
    native_tls: bool = False
    completion_timeout_s: int = 0
    timeout_action: str = "abort"


@dataclass(frozen=True)
class DestinationCheck:
    """What a destination found out about itself, for the source to compare: opaque but for its pools."""

    host: str
    pools: tuple[Pool, ...] = ()
    available_disk_bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A finished copy of a guest's disk. `consistent`: the guest's file systems were frozen for it.

    `definition`: what the guest was, in its driver's own words, for a guest to be made of it; it holds no secrets.
    """

    size_bytes: int
    disk_format: str
    sha256: str
    consistent: bool
    definition: str = ""


@dataclass(frozen=True)
class Saved:
    """A backup to make a guest of. `open` returns its bytes anew; `disk` is the one that was copied, as it lay then."""

    open: Callable[[], Iterator[bytes]]
    size_bytes: int
    disk_format: str
    sha256: str
    definition: str
    disk: Disk


@dataclass(frozen=True)
class Restored:
    """A guest that was made of a backup: where its disk lies, and whether it runs."""

    disk: Disk
    power_state: PowerState


class Ability(ABC):
    """Verbs that only some hosts have. A subclass is registered by being there."""

    attribute: ClassVar[str]
    """By what name a `Driver` has it."""
    sentence: ClassVar[str]
    """What a host cannot do that lacks it, after "host … cannot"."""

    @classmethod
    def lacking(cls, host: str) -> ActionFault:
        """Return the fault of an action that needs it on a host without it."""
        return NotSupported(host=host, verb=cls.sentence)


class LiveMigration(Ability):
    """Moving a running guest. Called on the source's driver unless the verb says otherwise."""

    attribute = "live_migration"
    sentence = "move a running guest"

    @classmethod
    def lacking(cls, host: str) -> ActionFault:
        return MigrationPreCheckError(reason=f"host {host} cannot {cls.sentence}")

    @abstractmethod
    def check_destination(self, guest: Guest, source: HostRef, options: MoveOptions) -> DestinationCheck:
        """Return what this host (the destination) offers; changes nothing.

        Raises PreCheckFault with the reason why the guest cannot come here, HypervisorUnavailable.
        """

    @abstractmethod
    def check_source(self, guest: Guest, destination: DestinationCheck, options: MoveOptions) -> bool:
        """Return whether disks have to be copied (block migration) to `destination`; changes nothing.

        With options.block_migration None the storage decides. Raises InvalidLocalStorage,
        InvalidSharedStorage, MigrationPreCheckError.
        """

    @abstractmethod
    def prepare(self, guest: Guest, source: HostRef, *, block_migration: bool) -> None:
        """Make this host (the destination) ready: networks, empty disks. Raises DriverFault."""

    @abstractmethod
    def move(
        self,
        guest: Guest,
        destination: HostRef,
        options: MoveOptions,
        on_progress: OnProgress,
        *,
        block_migration: bool,
    ) -> Moved:
        """Move the guest; whenever this returns it runs at the destination alone.

        Raises MigrationAborted or MigrationFailed (the guest runs on here), HypervisorTimeout (not known).
        """

    @abstractmethod
    def discard(self, guest: Guest) -> None:
        """Remove from this host (the destination) what `prepare` made. A guest that runs here is not touched:
        GuestOnTwoHosts is raised instead. Does nothing where nothing is left."""

    @abstractmethod
    def clean_source(self, guest: Guest) -> None:
        """Remove what a moved guest left on this host (the source); a running guest is never touched."""

    @abstractmethod
    def abort(self, guest: Guest) -> bool:
        """Ask the running move to stop; return False when none is running."""

    @abstractmethod
    def force_complete(self, guest: Guest) -> bool:
        """Make the running move end soon, by post-copy or by pausing the guest.

        Return False when none is running, or when it cannot be ended yet because disks are still being copied:
        ask again.
        """


class ColdMigration(Ability):
    """Moving a guest that is shut down for it."""

    attribute = "cold_migration"
    sentence = "move a guest"

    @abstractmethod
    def move_disk_and_power_off(self, guest: Guest, destination: HostRef, on_progress: OnProgress) -> None:
        """Shut the guest down (gracefully where it can) and copy its disks; called on the source.

        The source keeps its disks. Raises DiskMoveRolledBack (the guest is as it was), DriverFault (it may be
        shut down here, with all its data).
        """

    @abstractmethod
    def finish(self, guest: Guest, source: HostRef, *, power_on: bool) -> PowerState:
        """Define the guest on this host (the destination), start it if asked; return its power state."""

    @abstractmethod
    def confirm(self, guest: Guest) -> None:
        """Remove the shut down guest and its disks from this host (the source). A running one is not touched."""

    @abstractmethod
    def discard(self, guest: Guest) -> None:
        """Stop and remove the guest and its copied disks from this host (the destination of a revert)."""

    @abstractmethod
    def finish_revert(self, guest: Guest, *, power_on: bool) -> PowerState:
        """Bring the guest back on this host (the source), start it if asked; return its power state."""


class Power(Ability):
    """Letting a guest run or stand still. Each verb returns the guest's power state, and raises GuestNotFound."""

    attribute = "power"
    sentence = "stop a guest"

    @abstractmethod
    def power_off(self, guest: Guest) -> PowerState:
        """Shut the guest down, gracefully where it can; one that is off stays off."""

    @abstractmethod
    def pause(self, guest: Guest) -> PowerState:
        """Stop the guest's processors; one that is paused stays paused. Raises DriverFault for one that is off."""

    @abstractmethod
    def unpause(self, guest: Guest) -> PowerState:
        """Let a paused guest go on; one that runs runs on. Raises DriverFault for one that is off."""


class Backup(Ability):
    """Copying a guest's disk while it runs."""

    attribute = "backup"
    sentence = "back a guest up"

    @abstractmethod
    def snapshot(self, guest: Guest, target: str, on_progress: OnProgress) -> Snapshot:
        """Write a copy of the guest's root disk to the file `target`; the guest runs on, thawed, whatever happens.

        Raises BackupFailed; then `target` may hold a partial copy.
        """

    @abstractmethod
    def discard(self, guest: Guest) -> None:
        """End a copy that runs, and remove from the host what it has left there; the guest runs on, thawed.

        Does nothing where nothing is left.
        """


class Restore(Ability):
    """Making a new guest of a backup."""

    attribute = "restore"
    sentence = "make a guest of a backup"

    @abstractmethod
    def make(self, guest: Guest, saved: Saved, on_progress: OnProgress, *, power_on: bool) -> Restored:
        """Define a guest that is what the saved one was, with a copy of its disk, and start it if asked.

        UUID, name and interfaces are those of `guest`; other disks than the saved one are left out. The guest is
        defined when its disk is complete and verified, not before; one that is made already is not made again, and
        nothing is reported then. Raises RestoreFailed.
        """

    @abstractmethod
    def discard(self, guest: Guest) -> None:
        """Remove what `make` has begun or made, the guest as well. Does nothing where nothing is left.

        A guest that this owner has not made is not touched. Raises DriverFault then.
        """


class GuestAgent(Ability):
    """Changing something inside a guest. All raise AgentUnavailable, AgentNotReady (try again later), AgentAnswerInvalid.

    Whoever has root in the guest chooses what its agent answers. What a verb returns, or its fault says, can be kept in
    every record, whatever that was.
    """

    attribute = "agent"
    sentence = "speak to a guest agent"

    @abstractmethod
    def inject_network_info(self, guest: Guest) -> dict[str, Any]:
        """Give the guest its interfaces, effective at once and kept across a reboot; return what it answered."""

    @abstractmethod
    def reset_network(self, guest: Guest) -> dict[str, Any]:
        """Bring the guest's interfaces down and up again; return what it answered."""

    @abstractmethod
    def set_admin_password(self, guest: Guest, password: str) -> None:
        """Set the password of the guest's administrator. The password is never logged."""


ABILITIES: Mapping[str, type[Ability]] = {kind.attribute: kind for kind in Ability.__subclasses__()}
"""Every ability, by what a `Driver` calls it."""


class Driver(ABC):
    """One host. Abilities that a host may lack are None.

    A subclass is registered by being there; it is refused unless it says for each ability by which class it has it, or
    that it is None.
    """

    live_migration: LiveMigration | None
    cold_migration: ColdMigration | None
    power: Power | None
    backup: Backup | None
    restore: Restore | None
    agent: GuestAgent | None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        said = get_type_hints(cls)
        for name, ability in ABILITIES.items():
            if name not in cls.__annotations__:
                raise TypeError(f"driver {cls.__name__} does not say by what it has {name}, or None")
            if missing := unkept(said[name]):
                raise TypeError(f"driver {cls.__name__} has no {missing}, which {ability.__name__} promises")

    def __init__(self, host: HostRef, fence: Fence = LOOKING) -> None:
        self.host = host
        self.fence = fence

    @abstractmethod
    def describe(self) -> HostInfo:
        """Return what the host says of itself. Raises HypervisorUnavailable, HypervisorTimeout."""

    @abstractmethod
    def find_guest(self, guest: UUID) -> FoundGuest | None:
        """Return the guest as it is on this host at this moment, or None where it is not defined."""

    @abstractmethod
    def list_guests(self) -> list[FoundGuest]:
        """Return every guest that is defined on this host. One that is odd keeps none of the others from being told."""

    @abstractmethod
    def disown(self, guest: Guest) -> None:
        """Give up what the fence's owner has left of the guest on this host, when its work is over.

        What was prepared or copied here for a guest that is not defined here is removed, a backup or a copy that runs
        is ended. A guest that is defined here stays as it is: only the mark of the owner is taken off. Does nothing
        where nothing is the owner's.
        """


def unkept(ability: Any) -> str:
    """Return the verbs that a class promises and lacks, as a text; empty for None, and for one that keeps its promises."""
    return ", ".join(sorted(getattr(ability, "__abstractmethods__", ())))
