"""os-resetState: set a server's state to active or error."""

from __future__ import annotations

from servers.actions.base import ANY_STATE, Action, Example, Exclusivity, Parameter
from servers.actions.kinds import Choice
from servers.actions.task import AcceptContext
from servers.policy import Role, Rule

EDGES = {"active": "reset_active", "error": "set_error"}


class ResetState(Action):
    """Set the server's state to active or error, whatever it is, and end its task.

    The guest is not touched. An exclusive action that is running is taken over: what it began is stopped or
    completed, whichever keeps the guest whole, and its room on the hosts is put right. Where the guest was seen is
    kept with the action; a guest that runs on two hosts is refused, so that nobody forgets it.
    """

    wire_name = "os-resetState"
    record_name = "resetState"
    slug = "reset-state"
    exclusivity = Exclusivity.IMMEDIATE
    respects_lock = False
    looks_first = True
    policy = (Rule("os_compute_api:os-admin-actions:reset_state", Role.ADMIN, "reset a server's state"),)
    parameters = (Parameter("state", Choice(tuple(EDGES)), "the state to set"),)
    transition = ANY_STATE
    edges = tuple(EDGES.values())
    examples = (Example("2.1", {"state": "active"}),)
    consequence = "Only the record changes; the guest is not touched, and running work is taken over."
    destructive = True

    def accept(self, accepting: AcceptContext) -> None:
        accepting.reset(EDGES[accepting.params["state"]])
