"""confirmResize: a cold migration is good; its source is cleaned up."""

from __future__ import annotations

from servers.actions.base import Action, Answer, Body, Exclusivity, Request, Shape, Transition, step
from servers.actions.task import AcceptContext, Change, FleetFacts, MoveAllocations, ServerFacts, Task
from servers.drivers.base import ColdMigration
from servers.errors import ActionFault, GuestNotFound, HypervisorUnavailable, NotResized, ServiceDown
from servers.policy import Role, Rule
from servers.states import PowerState, QueueClass, VmState

EVENT = "compute_confirm_resize"


class ConfirmResize(Action):
    """Confirm a cold migration: the server stays on its new host, the copy on the old one is deleted."""

    wire_name = "confirmResize"
    record_name = "confirmResize"
    slug = "confirm-resize"
    exclusivity = Exclusivity.EXCLUSIVE
    queue_class = QueueClass.MOVES
    answer = Answer.NO_CONTENT
    policy = (Rule("os_compute_api:servers:confirm_resize", Role.MEMBER, "confirm a cold migration"),)
    bodies = (Body(Shape.ANYTHING),)
    transition = Transition(allowed=frozenset({VmState.RESIZED}))
    refusals = (NotResized, ServiceDown)
    errors = (GuestNotFound,)
    edges = ("confirm", "confirmed", "resume_active", "resume_stopped", "wait_again", "set_error", "end_task")
    events = (EVENT,)
    consequence = "The copy on the old host is deleted; the move can no longer be reverted."

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        source = fleet.migration_source(server.uuid)
        if source is None:
            raise NotResized
        if not fleet.is_up(source):
            raise ServiceDown

    def accept(self, accepting: AcceptContext) -> None:
        accepting.take_finished_migration("confirm", NotResized())

    @step(touches_guest=True, switch=True, takes=ColdMigration)
    def clean_source(self, task: Task) -> None:
        move = task.migration
        with task.event(EVENT, move.source):
            cold = task.ability(ColdMigration, move.source)
            if task.find_guest(move.destination) is None:
                raise GuestNotFound(guest=task.guest.name, host=move.destination)
            cold.confirm(task.guest)

    def finished(self, task: Task) -> Change:
        stopped = task.server.power_state is PowerState.SHUTDOWN
        resume = "resume_stopped" if stopped else "resume_active"
        return Change(
            server=(resume, "end_task"), migration=("confirmed",), allocations=MoveAllocations.TO_DESTINATION
        )

    def failed(self, task: Task, fault: ActionFault) -> Change:
        if not task.effective and isinstance(fault, HypervisorUnavailable):
            return Change(server=("end_task",), migration=("wait_again",), fault=fault)
        return Change(server=("set_error", "end_task"), migration=("set_error",), fault=fault)
