"""injectNetworkInfo: give the guest its network information again."""

from __future__ import annotations

from servers.actions.abilities import guest_agent
from servers.actions.base import ANY_STATE, Action, Body, Exclusivity, Shape, step
from servers.actions.task import AgentTask
from servers.drivers.base import GuestAgent
from servers.errors import AgentAnswerInvalid, AgentNotReady, AgentUnavailable
from servers.policy import Role, Rule

EVENT = "compute_inject_network_info"


class InjectNetworkInfo(Action):
    """Give the guest its network information again: addresses, gateway, routes and name servers.

    It takes effect at once and outlasts a reboot. The guest has to run a guest agent.
    """

    wire_name = "injectNetworkInfo"
    record_name = "injectNetworkInfo"
    slug = "inject-network-info"
    exclusivity = Exclusivity.QUEUED
    policy = (
        Rule("os_compute_api:os-admin-actions:inject_network_info", Role.ADMIN, "inject network information"),
    )
    bodies = (Body(Shape.ANYTHING),)
    transition = ANY_STATE
    errors = (AgentUnavailable, AgentNotReady, AgentAnswerInvalid)
    events = (EVENT,)
    consequence = "The guest's interfaces are configured anew; connections may be interrupted for a moment."
    without_agent = "It will fail unless one answers by then."

    @step(touches_guest=True, takes=GuestAgent)
    def inject(self, task: AgentTask) -> None:
        with task.event(EVENT, task.server.host or ""):
            task.answer(**guest_agent(task).inject_network_info(task.guest))
