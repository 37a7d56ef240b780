"""changePassword: set the password of the guest's administrator."""

from __future__ import annotations

from servers.actions.abilities import guest_agent
from servers.actions.base import Action, Example, Exclusivity, Parameter, Transition, step
from servers.actions.kinds import Secret
from servers.actions.task import AgentTask, Change, Task
from servers.drivers.base import GuestAgent
from servers.errors import ActionFault, AgentAnswerInvalid, AgentNotReady, AgentUnavailable
from servers.policy import Role, Rule
from servers.states import VmState

EVENT = "compute_set_admin_password"


class ChangePassword(Action):
    """Set the password of the guest's administrator, through the guest agent."""

    wire_name = "changePassword"
    record_name = "changePassword"
    slug = "change-password"
    exclusivity = Exclusivity.EXCLUSIVE
    policy = (Rule("os_compute_api:os-admin-password", Role.MEMBER, "change a guest's password"),)
    parameters = (Parameter("adminPass", Secret(), "the new password"),)
    transition = Transition(allowed=frozenset({VmState.ACTIVE}), edge="begin_updating_password")
    errors = (AgentUnavailable, AgentNotReady, AgentAnswerInvalid)
    edges = ("end_task",)
    events = (EVENT,)
    examples = (Example("2.1", {"adminPass": "a-better-one"}),)
    consequence = "The old password of the guest's administrator stops working."
    without_agent = "It will fail unless one answers by then."

    @step(touches_guest=True, takes=GuestAgent)
    def set_password(self, task: AgentTask) -> None:
        with task.event(EVENT, task.source):
            guest_agent(task).set_admin_password(task.guest, task.secret("adminPass"))

    def finished(self, task: Task) -> Change:
        return Change(server=("end_task",))

    def failed(self, task: Task, fault: ActionFault) -> Change:
        return Change(server=("end_task",), fault=fault)

    def cancelled(self, task: Task) -> Change:
        return Change(server=("end_task",))
