"""os-migrateLive: move a running server to another host."""

from __future__ import annotations

from dataclasses import replace

from servers.actions.abilities import instead_of_leftovers
from servers.actions.base import Action, Example, Exclusivity, Parameter, Request, Transition, step
from servers.actions.kinds import Boolean, BooleanOrAuto, HostName
from servers.actions.task import Change, FleetFacts, MoveAllocations, MovingTask, ServerFacts, Task
from servers.drivers.base import DestinationCheck, LiveMigration, Moved, MoveOptions
from servers.errors import (
    ActionFault,
    CannotForce,
    ComputeHostNotFound,
    ComputeResourcesUnavailable,
    ComputeServiceUnavailable,
    DestinationSilent,
    DriverFault,
    GuestNotFound,
    HostUnknown,
    HypervisorTimeout,
    HypervisorUnavailable,
    InvalidLocalStorage,
    InvalidPowerState,
    InvalidSharedStorage,
    MaxRetriesExceeded,
    MigrationError,
    NoValidHost,
    PreCheckFault,
    SourceCheckFailed,
)
from servers.microversions import Microversion
from servers.policy import Role, Rule, has, lacks
from servers.states import MigrationType, PowerState, QueueClass, VmState

CHECKED_HOST = Microversion.parse("2.30")
ASYNCHRONOUS = "2.34"

CHECK_DESTINATION = "compute_check_can_live_migrate_destination"
CHECK_SOURCE = "compute_check_can_live_migrate_source"
MOVE = "compute_live_migration"
PREPARE = "compute_pre_live_migration"
ARRIVE = "compute_post_live_migration_at_destination"

CHECK_FAULTS = (
    NoValidHost,
    MaxRetriesExceeded,
    ComputeServiceUnavailable,
    ComputeHostNotFound,
    PreCheckFault,
    InvalidLocalStorage,
    InvalidSharedStorage,
    HypervisorUnavailable,
    InvalidPowerState,
)
"""With these the checks may end; anything else is an unforeseen error (Nova contract A.2)."""


def choice_event(task: Task) -> str:
    """Return the event of the choice: Nova's name depends on whether the caller waits for it."""
    waits = task.microversion < Microversion.parse(ASYNCHRONOUS)
    return "conductor_migrate_server" if waits else "conductor_live_migrate_instance"


def is_forced(task: Task) -> bool:
    """Return whether the scheduler is passed by (Nova contract B.7)."""
    given = task.params["host"] is not None
    return given and (task.microversion < CHECKED_HOST or bool(task.params.get("force")))


def options(task: Task) -> MoveOptions:
    """Return how to move: the deployment's settings with what the request says."""
    return replace(
        task.limits.move,
        block_migration=task.params.get("block_migration"),
        disk_over_commit=task.params.get("disk_over_commit"),
    )


class LiveMigrate(Action):
    """Move a running server to another host without stopping it.

    The scheduler chooses the host unless one is given; a host that refuses is followed by the next one. Until
    the guest has arrived it runs on where it is.
    """

    wire_name = "os-migrateLive"
    record_name = "live-migration"
    slug = "live-migration"
    exclusivity = Exclusivity.EXCLUSIVE
    queue_class = QueueClass.MOVES
    policy = (
        Rule(
            "os_compute_api:os-migrate-server:migrate_live",
            Role.MANAGER,
            "migrate a server live",
            lacks("host"),
        ),
        Rule(
            "os_compute_api:os-migrate-server:migrate_live:host",
            Role.ADMIN,
            "migrate a server live to a host of one's choice",
            has("host"),
        ),
    )
    parameters = (
        Parameter("host", HostName(), "destination; without one the scheduler chooses"),
        Parameter("block_migration", Boolean(), "copy the disks as well", until="2.24"),
        Parameter(
            "block_migration",
            BooleanOrAuto(),
            "copy the disks as well; auto: when the hosts share no storage",
            since="2.25",
        ),
        Parameter(
            "disk_over_commit",
            Boolean(),
            "compare the space that the disks use, not the space that they may use",
            until="2.24",
        ),
        Parameter(
            "force",
            Boolean(),
            "go to host without asking the scheduler",
            since="2.30",
            until="2.67",
            required=False,
            default=False,
        ),
    )
    transition = Transition(allowed=frozenset({VmState.ACTIVE, VmState.PAUSED}), edge="begin_migrating")
    refusals = (CannotForce, HostUnknown)
    errors = (*CHECK_FAULTS, MigrationError)
    edges = ("queue", "prepare", "run", "complete", "fail", "cancel", "set_error", "end_task")
    events = (
        "conductor_migrate_server",
        "conductor_live_migrate_instance",
        CHECK_DESTINATION,
        CHECK_SOURCE,
        MOVE,
        PREPARE,
        ARRIVE,
    )
    examples = (
        Example("2.1", {"host": "node2", "block_migration": False, "disk_over_commit": False}),
        Example("2.25", {"host": None, "block_migration": "auto"}),
        Example("2.30", {"host": "node2", "block_migration": "auto", "force": False}),
        Example("2.68", {"host": "node2", "block_migration": "auto"}),
    )
    consequence = (
        "The guest runs on and changes its host; it stands still for a fraction of a second at the end."
    )

    def check_request(self, request: Request) -> None:
        if request.params.get("force") and request.params["host"] is None:
            raise CannotForce

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        host = request.params["host"]
        if host is not None and not fleet.knows(host):
            raise HostUnknown(host=host)

    @step(in_request=ASYNCHRONOUS)
    def open_move(self, task: MovingTask) -> None:
        task.open_event(choice_event(task))
        task.open_migration(MigrationType.LIVE, task.params["host"] if is_forced(task) else "")
        power = task.server.power_state
        if power not in {PowerState.RUNNING, PowerState.PAUSED}:
            raise InvalidPowerState(server=task.server.uuid, state=power.word)
        if not task.is_up(task.source):
            raise ComputeServiceUnavailable(host=task.source)

    @step(in_request=ASYNCHRONOUS, takes=LiveMigration)
    def choose_destination(self, task: MovingTask) -> None:
        """Try hosts until one takes the guest; each refusal is kept with its reason."""
        attempted = list(task.memo.get("attempted", [task.source]))
        while True:
            task.checkpoint()
            task.release()
            host = self.next_candidate(task, attempted)
            try:
                block = self.check_candidate(task, host)
                break
            except ActionFault as fault:
                if is_forced(task) or not fault.next_candidate:
                    raise
            attempted.append(host)
            task.remember(attempted=attempted)
        task.remember(block_migration=block)
        task.record(Change(destination=host))
        task.close_event(choice_event(task))

    def next_candidate(self, task: MovingTask, attempted: list[str]) -> str:
        """Return the next host with room claimed on it. Raises NoValidHost, MaxRetriesExceeded."""
        retries, limit = len(attempted) - 1, task.limits.migrate_max_retries
        if limit != -1 and retries > limit:
            reason = f"Exceeded max scheduling retries {retries} for instance {task.server.uuid} during live migration"
            raise MaxRetriesExceeded(reason=reason)
        requested = task.params["host"]
        if is_forced(task):
            task.check_forced(requested)
            task.claim(requested)
            return str(requested)
        try:
            hosts = task.select(choice_event(task), requested=requested, ignore=attempted)
        except CHECK_FAULTS:
            raise
        except (ActionFault, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise MigrationError(reason=str(error)) from error  # the guest is untouched: Nova contract F24
        for host in hosts:
            try:
                task.claim(host)
                return host
            except ComputeResourcesUnavailable as fault:
                task.add_facts(choice_event(task), lost_race={host: str(fault)})
        raise NoValidHost(reason="There are not enough hosts available.")

    def check_candidate(self, task: MovingTask, host: str) -> bool:
        """Ask the destination, and then the source, whether the guest can go; return whether disks are copied."""
        source = task.source
        with task.event(CHECK_DESTINATION, host):
            offer = self.offer_of(task, host)
            try:
                with task.event(CHECK_SOURCE, source):
                    return task.ability(LiveMigration, source).check_source(task.guest, offer, options(task))
            except ActionFault as fault:
                name = type(fault).__name__
                raise SourceCheckFailed(source=source, host=host, error=name, text=str(fault)) from fault

    def offer_of(self, task: MovingTask, host: str) -> DestinationCheck:
        """Return what the destination offers. Its silence is no more than a refusal: a question changes nothing."""
        there, source = task.ability(LiveMigration, host), task.host(task.source)
        try:
            return there.check_destination(task.guest, source, options(task))
        except (HypervisorUnavailable, HypervisorTimeout) as fault:
            if is_forced(task):
                raise
            raise DestinationSilent(host=host, reason=str(fault)) from fault

    @step
    def queue(self, task: Task) -> None:
        task.open_event(MOVE, task.source)
        task.record(Change(migration=("queue",)))

    @step
    def wait_for_slot(self, task: MovingTask) -> None:
        task.take_slot("prepare")

    @step(takes=LiveMigration)
    def prepare_destination(self, task: MovingTask) -> None:
        host = task.migration.destination
        with task.event(PREPARE, host):
            there, source = task.ability(LiveMigration, host), task.host(task.source)
            block = bool(task.memo["block_migration"])
            instead_of_leftovers(task, lambda: there.prepare(task.guest, source, block_migration=block))
        task.record(Change(migration=("run",)))

    @prepare_destination.undo
    def discard_destination(self, task: Task) -> None:
        task.ability(LiveMigration, task.migration.destination).discard(task.guest)

    @step(touches_guest=True, arrives=True, takes=LiveMigration)
    def move_guest(self, task: MovingTask) -> None:
        """Move the guest, or find that an earlier attempt has done so."""
        source, destination = task.source, task.migration.destination
        if task.is_cancelled():
            task.ability(LiveMigration, source).abort(task.guest)
            task.wait_for_job(source)
        if task.guest_host(source, destination) == destination:
            return
        task.checkpoint()
        if "move_guest" not in task.effective:
            task.check_group(destination)
        try:
            moved = instead_of_leftovers(task, lambda: self.move(task, source, destination))
            task.remember(downtime_ms=moved.downtime_ms)
        except HypervisorTimeout:
            raise
        except DriverFault:
            where = task.guest_host(source, destination)
            if where is None:
                raise GuestNotFound(guest=task.guest.name, host=f"{source} or {destination}") from None
            if where != destination:
                raise

    def move(self, task: MovingTask, source: str, destination: str) -> Moved:
        """Move the guest, or join the move that runs."""
        return task.ability(LiveMigration, source).move(
            task.guest,
            task.host(destination),
            options(task),
            task.report,
            block_migration=task.memo["block_migration"],
        )

    @step(switch=True)
    def arrive(self, task: Task) -> None:
        """The switch: one durable record, behind which there is no way back."""
        destination = task.migration.destination
        with task.event(ARRIVE, destination):
            task.record(
                Change(
                    host=destination,
                    power_state=task.former_power_state,
                    downtime_ms=task.memo.get("downtime_ms"),
                )
            )

    @step(switch=True, takes=LiveMigration)
    def clean_source(self, task: MovingTask) -> None:
        """Tidy up; what cannot be removed now is left for the reconciler, the guest is well.

        A guest that somebody else has moved has left nothing that is ours.
        """
        if "move_guest" not in task.effective:
            task.answer(left_behind=f"{task.source}: the guest was at {task.migration.destination} already")
            return
        try:
            task.ability(LiveMigration, task.source).clean_source(task.guest)
        except DriverFault as fault:
            task.leave_behind(task.source, str(fault))

    def has_happened(self, task: MovingTask) -> bool:
        if "move_guest" not in task.effective:
            return False
        destination = task.migration.destination
        return task.guest_host(task.source, destination) == destination

    def finished(self, task: Task) -> Change:
        return Change(
            server=("end_task",),
            migration=("complete",),
            allocations=MoveAllocations.TO_DESTINATION,
            progress=0,
        )

    def failed(self, task: Task, fault: ActionFault) -> Change:
        lost = ("set_error",) if isinstance(fault, GuestNotFound) else ()
        return Change(
            server=(*lost, "end_task"),
            migration=("fail", "set_error"),
            allocations=MoveAllocations.BACK_TO_SOURCE,
            progress=0,
            fault=fault,
        )

    def cancelled(self, task: Task) -> Change:
        return Change(
            server=("end_task",),
            migration=("cancel",),
            allocations=MoveAllocations.BACK_TO_SOURCE,
            progress=0,
        )
