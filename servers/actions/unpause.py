"""unpause: let a paused guest go on."""

from __future__ import annotations

from servers.actions.base import Action, Body, Shape, Transition, step
from servers.actions.task import Change, Task
from servers.drivers.base import Power
from servers.errors import ActionFault
from servers.policy import Role, Rule
from servers.states import VmState

EVENT = "compute_unpause_instance"


class Unpause(Action):
    """Let a paused guest go on where it stood still."""

    wire_name = "unpause"
    record_name = "unpause"
    slug = "unpause"
    policy = (Rule("os_compute_api:os-pause-server:unpause", Role.MEMBER, "unpause a server"),)
    bodies = (Body(Shape.ANYTHING),)
    transition = Transition(allowed=frozenset({VmState.PAUSED}), edge="begin_unpausing")
    edges = ("become_active", "end_task")
    events = (EVENT,)
    consequence = "The guest goes on; its clock is behind by the time for which it stood still."

    @step(touches_guest=True, takes=Power)
    def start_processors(self, task: Task) -> None:
        with task.event(EVENT, task.source):
            task.record(Change(power_state=task.ability(Power, task.source).unpause(task.guest)))

    def finished(self, task: Task) -> Change:
        return Change(server=("become_active", "end_task"))

    def failed(self, task: Task, fault: ActionFault) -> Change:
        return Change(server=("end_task",), fault=fault)

    def cancelled(self, task: Task) -> Change:
        return Change(server=("end_task",))
