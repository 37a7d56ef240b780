"""pause: stop a guest's processors, and leave its memory where it is."""

from __future__ import annotations

from servers.actions.base import Action, Body, Shape, Transition, step
from servers.actions.task import Change, Task
from servers.drivers.base import Power
from servers.errors import ActionFault
from servers.policy import Role, Rule
from servers.states import VmState

EVENT = "compute_pause_instance"


class Pause(Action):
    """Stop the guest's processors; its memory stays where it is."""

    wire_name = "pause"
    record_name = "pause"
    slug = "pause"
    policy = (Rule("os_compute_api:os-pause-server:pause", Role.MEMBER, "pause a server"),)
    bodies = (Body(Shape.ANYTHING),)
    transition = Transition(allowed=frozenset({VmState.ACTIVE}), edge="begin_pausing")
    edges = ("become_paused", "end_task")
    events = (EVENT,)
    consequence = "The guest stands still until it is unpaused; its connections may time out meanwhile."

    @step(touches_guest=True, takes=Power)
    def stop_processors(self, task: Task) -> None:
        with task.event(EVENT, task.source):
            task.record(Change(power_state=task.ability(Power, task.source).pause(task.guest)))

    def finished(self, task: Task) -> Change:
        return Change(server=("become_paused", "end_task"))

    def failed(self, task: Task, fault: ActionFault) -> Change:
        return Change(server=("end_task",), fault=fault)

    def cancelled(self, task: Task) -> Change:
        return Change(server=("end_task",))
