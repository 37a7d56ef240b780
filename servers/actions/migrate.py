"""migrate: cold migration to a host of the scheduler's choice, to be confirmed or reverted."""

from __future__ import annotations

from servers.actions.abilities import instead_of_leftovers
from servers.actions.base import (
    Action,
    Body,
    Example,
    Exclusivity,
    Parameter,
    Request,
    Shape,
    Transition,
    step,
)
from servers.actions.kinds import HostName
from servers.actions.task import Change, FleetFacts, MoveAllocations, MovingTask, ServerFacts, Task
from servers.drivers.base import ColdMigration
from servers.errors import (
    ActionFault,
    ComputeResourcesUnavailable,
    DiskMoveRolledBack,
    DriverFault,
    HostUnknown,
    NotReady,
    NoValidHost,
    ResizeError,
    SameHost,
    ServiceDown,
)
from servers.policy import Role, Rule, has, lacks
from servers.states import MigrationType, QueueClass, VmState

CONDUCT, CHOOSE, CLAIM = "conductor_migrate_server", "cold_migrate", "compute_prep_resize"
MOVE_DISK, FINISH = "compute_resize_instance", "compute_finish_resize"
EXHAUSTED = "No valid host found for cold migrate"


class Migrate(Action):
    """Move a server to another host with a short stop; then it waits to be confirmed or reverted.

    The guest is shut down, its disks go to the new host, and it starts there. The old copy is kept until the
    move is confirmed. A stopped server stays stopped.
    """

    wire_name = "migrate"
    record_name = "migrate"
    slug = "migrate"
    exclusivity = Exclusivity.EXCLUSIVE
    queue_class = QueueClass.MOVES
    policy = (
        Rule("os_compute_api:os-migrate-server:migrate", Role.MANAGER, "migrate a server", lacks("host")),
        Rule(
            "os_compute_api:os-migrate-server:migrate:host",
            Role.ADMIN,
            "migrate a server to a host of one's choice",
            has("host"),
        ),
    )
    bodies = (Body(Shape.ANYTHING, until="2.55"), Body(Shape.OBJECT_OR_NULL, since="2.56"))
    parameters = (
        Parameter(
            "host",
            HostName(),
            "destination; without one the scheduler chooses",
            since="2.56",
            required=False,
        ),
    )
    transition = Transition(allowed=frozenset({VmState.ACTIVE, VmState.STOPPED}), edge="begin_resize_prep")
    refusals = (NotReady, ServiceDown, SameHost, HostUnknown)
    errors = (NoValidHost, ComputeResourcesUnavailable, ResizeError, DiskMoveRolledBack)
    edges = (
        "begin_resize_migrating",
        "migrate",
        "begin_resize_migrated",
        "post_migrate",
        "begin_resize_finish",
        "await_confirmation",
        "finish",
        "cancel",
        "set_error",
        "end_task",
    )
    events = (CONDUCT, CHOOSE, CLAIM, MOVE_DISK, FINISH)
    examples = (
        Example("2.1"),
        Example("2.56", {"host": "node2"}),
    )
    consequence = "The guest is shut down, moved, and started again on another host."

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        host = request.params.get("host")
        if server.host is None:
            raise NotReady(server=server.uuid)
        if not fleet.is_up(server.host):
            raise ServiceDown
        if host == server.host:
            raise SameHost
        if host is not None and not fleet.knows(host):
            raise HostUnknown(host=host)

    @step
    def open_move(self, task: MovingTask) -> None:
        task.open_event(CONDUCT)
        task.open_event(CHOOSE)
        task.open_migration(MigrationType.COLD)

    @step
    def choose_destination(self, task: MovingTask) -> None:
        """Try hosts until one has room; each attempt is recorded with its reason."""
        refused = list(task.memo.get("refused", []))
        while True:
            task.checkpoint()
            task.release()
            with task.event(CONDUCT), task.event(CHOOSE):
                host = self.next_candidate(task, refused)
            try:
                with task.event(CLAIM, host):
                    task.claim(host)
                break
            except ComputeResourcesUnavailable:
                if task.params.get("host") is not None:
                    raise
            refused.append(host)
            task.remember(refused=refused)
        task.record(Change(destination=host))

    def next_candidate(self, task: MovingTask, refused: list[str]) -> str:
        """Return the host to try next. Raises NoValidHost."""
        if len(refused) >= task.limits.max_attempts:
            raise NoValidHost(reason=EXHAUSTED)
        try:
            hosts = task.select(
                CHOOSE, requested=task.params.get("host"), ignore=[task.source, *refused], at_most=1
            )
        except NoValidHost as fault:
            raise NoValidHost(reason=EXHAUSTED) from fault
        return hosts[0]

    @step
    def begin_disk_move(self, task: MovingTask) -> None:
        task.check_group(task.migration.destination)
        task.open_event(MOVE_DISK, task.source)
        task.record(Change(server=("begin_resize_migrating",), migration=("migrate",)))

    @step(touches_guest=True, takes=ColdMigration)
    def move_disk(self, task: MovingTask) -> None:
        destination = task.migration.destination
        cold, there = task.ability(ColdMigration, task.source), task.host(destination)
        instead_of_leftovers(task, lambda: cold.move_disk_and_power_off(task.guest, there, task.report))
        task.record(Change(server=("begin_resize_migrated",), migration=("post_migrate",), host=destination))
        task.close_event(MOVE_DISK)

    @move_disk.undo
    def bring_back(self, task: Task) -> None:
        """Remove the copy that never ran, and let the guest run where it was, be it that the copy cannot be removed."""
        left: DriverFault | None = None
        try:
            task.ability(ColdMigration, task.migration.destination).discard(task.guest)
        except DriverFault as fault:
            left = fault
        power_on = task.former_vm_state == VmState.ACTIVE
        try:
            power = task.ability(ColdMigration, task.source).finish_revert(task.guest, power_on=power_on)
        except DriverFault as fault:
            task.remember(left_off=str(fault))
            raise
        if task.memo.get("left_off"):
            task.remember(left_off="")
        task.record(Change(host=task.source, power_state=power))
        if left is not None:
            raise left

    @step(forward_only=True)
    def begin_finish(self, task: Task) -> None:
        task.open_event(FINISH, task.migration.destination)
        task.record(Change(server=("begin_resize_finish",)))

    @step(touches_guest=True, forward_only=True, arrives=True, takes=ColdMigration)
    def start_at_destination(self, task: MovingTask) -> None:
        power_on = task.former_vm_state == VmState.ACTIVE
        power = task.ability(ColdMigration, task.migration.destination).finish(
            task.guest, task.host(task.source), power_on=power_on
        )
        task.record(Change(power_state=power))

    def finished(self, task: Task) -> Change:
        return Change(
            server=("await_confirmation", "end_task"), migration=("finish",), launched=True, progress=0
        )

    def failed(self, task: Task, fault: ActionFault) -> Change:
        arrived = task.server.host != task.source
        untouched = isinstance(fault, DriverFault) and "move_disk" not in task.effective
        moved = "move_disk" in task.begun and not untouched and not isinstance(fault, DiskMoveRolledBack)
        return Change(
            server=("set_error", "end_task") if moved or task.memo.get("left_off") else ("end_task",),
            migration=("set_error",),
            allocations=MoveAllocations.TO_DESTINATION if arrived else MoveAllocations.BACK_TO_SOURCE,
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
