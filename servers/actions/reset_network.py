"""resetNetwork: reset networking in the guest."""

from __future__ import annotations

from servers.actions.abilities import guest_agent
from servers.actions.base import ANY_STATE, Action, Body, Exclusivity, Shape, step
from servers.actions.task import AgentTask, FleetFacts
from servers.drivers.base import GuestAgent
from servers.errors import AgentAnswerInvalid, AgentNotReady, AgentUnavailable, Gone
from servers.policy import Role, Rule

EVENT = "compute_reset_network"


class ResetNetwork(Action):
    """Reset networking in the guest: its interfaces go down and up again.

    Nova has answered 410 since 23.0.0; the setting RESET_NETWORK_GONE does the same.
    """

    wire_name = "resetNetwork"
    record_name = "resetNetwork"
    slug = "reset-network"
    exclusivity = Exclusivity.QUEUED
    policy = (Rule("os_compute_api:os-admin-actions:reset_network", Role.ADMIN, "reset a guest's network"),)
    bodies = (Body(Shape.ANYTHING),)
    transition = ANY_STATE
    refusals = (Gone,)
    errors = (AgentUnavailable, AgentNotReady, AgentAnswerInvalid)
    events = (EVENT,)
    consequence = "The guest's interfaces go down and up; connections are interrupted for some seconds."
    without_agent = "The host takes the links of its interfaces down and up instead, where it can."

    def check_route(self, fleet: FleetFacts) -> None:
        if fleet.reset_network_gone():
            raise Gone

    @step(touches_guest=True, takes=GuestAgent)
    def reset(self, task: AgentTask) -> None:
        with task.event(EVENT, task.server.host or ""):
            task.answer(**guest_agent(task).reset_network(task.guest))
