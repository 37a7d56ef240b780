"""revertResize: a cold migration is taken back."""

from __future__ import annotations

from servers.actions.base import Action, Body, Exclusivity, Request, Shape, Transition, step
from servers.actions.task import (
    AcceptContext,
    Change,
    FleetFacts,
    MoveAllocations,
    MovingTask,
    ServerFacts,
    Task,
)
from servers.drivers.base import ColdMigration, Power
from servers.errors import (
    ActionFault,
    GuestNotFound,
    GuestOnTwoHosts,
    HypervisorUnavailable,
    NotResized,
    NotSupported,
)
from servers.policy import Role, Rule
from servers.states import QueueClass, VmState

REVERT, FINISH, STOP = "compute_revert_resize", "compute_finish_revert_resize", "compute_stop_instance"


class RevertResize(Action):
    """Revert a cold migration: the server goes back to its old host, as it was there."""

    wire_name = "revertResize"
    record_name = "revertResize"
    slug = "revert-resize"
    exclusivity = Exclusivity.EXCLUSIVE
    queue_class = QueueClass.MOVES
    policy = (Rule("os_compute_api:servers:revert_resize", Role.MEMBER, "revert a cold migration"),)
    bodies = (Body(Shape.ANYTHING),)
    transition = Transition(allowed=frozenset({VmState.RESIZED}), edge="begin_reverting")
    refusals = (NotResized,)
    errors = (GuestNotFound, GuestOnTwoHosts)
    edges = (
        "revert",
        "begin_powering_off",
        "reverted",
        "resume_active",
        "resume_stopped",
        "wait_again",
        "set_error",
        "end_task",
    )
    events = (REVERT, FINISH, STOP)
    consequence = "The guest on the new host is destroyed with all that was written since the move."
    destructive = True

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        if fleet.migration_source(server.uuid) is None:
            raise NotResized

    def accept(self, accepting: AcceptContext) -> None:
        accepting.take_finished_migration("revert", NotResized())

    @step(touches_guest=True, switch=True, takes=ColdMigration)
    def destroy_at_destination(self, task: MovingTask) -> None:
        """Stop the newer copy first: the guest never runs twice."""
        move = task.migration
        with task.event(REVERT, move.destination):
            self.refuse_what_cannot_come_back(task)
            task.ability(ColdMigration, move.destination).discard(task.guest)

    def refuse_what_cannot_come_back(self, task: MovingTask) -> None:
        """Raise a fault, before anything is destroyed, where the guest is not where the move has left it."""
        move = task.migration
        if task.find_guest(move.source) is None:
            raise NotSupported(host=move.source, verb="take back a guest of which it has no disks")
        task.alone_at(move.destination)
        is_first = "destroy_at_destination" not in task.effective
        if is_first and task.find_guest(move.destination) is None:
            raise GuestNotFound(guest=task.guest.name, host=move.destination)

    @step(touches_guest=True, switch=True, takes=ColdMigration)
    def start_at_source(self, task: Task) -> None:
        move = task.migration
        was_stopped = move.old_vm_state == VmState.STOPPED
        task.open_event(FINISH, move.source)
        power = task.ability(ColdMigration, move.source).finish_revert(task.guest, power_on=not was_stopped)
        task.record(Change(host=move.source, power_state=power))

    @step(touches_guest=True, switch=True, takes=Power)
    def stop_again(self, task: Task) -> None:
        if task.migration.old_vm_state != VmState.STOPPED:
            return
        task.record(Change(server=("begin_powering_off",)))
        with task.event(STOP, task.migration.source):
            power = task.ability(Power, task.migration.source).power_off(task.guest)
            task.record(Change(power_state=power))

    def finished(self, task: Task) -> Change:
        stopped = task.migration.old_vm_state == VmState.STOPPED
        resume = "resume_stopped" if stopped else "resume_active"
        return Change(
            server=(resume, "end_task"), migration=("reverted",), allocations=MoveAllocations.BACK_TO_SOURCE
        )

    def failed(self, task: Task, fault: ActionFault) -> Change:
        if not task.effective and isinstance(fault, HypervisorUnavailable):
            return Change(server=("end_task",), migration=("wait_again",), fault=fault)
        return Change(server=("set_error", "end_task"), migration=("set_error",), fault=fault)
