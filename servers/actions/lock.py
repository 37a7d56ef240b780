"""lock: protect a server from those who are no admins."""

from __future__ import annotations

from servers.actions.base import ANY_STATE, Action, Body, Example, Exclusivity, Parameter, Shape
from servers.actions.kinds import Text
from servers.actions.task import AcceptContext
from servers.policy import Role, Rule


class Lock(Action):
    """Lock the server: only an admin passes, everybody else is refused what could lose something."""

    wire_name = "lock"
    record_name = "lock"
    slug = "lock"
    exclusivity = Exclusivity.IMMEDIATE
    respects_lock = False
    policy = (Rule("os_compute_api:os-lock-server:lock", Role.MEMBER, "lock a server"),)
    bodies = (Body(Shape.ANYTHING, until="2.72"), Body(Shape.OBJECT_OR_NULL, since="2.73"))
    parameters = (Parameter("locked_reason", Text(1), "why it is locked", since="2.73", required=False),)
    transition = ANY_STATE
    examples = (
        Example("2.1"),
        Example("2.73", {"locked_reason": "being measured"}),
    )
    consequence = "Whoever is no admin can no longer move, revert or reconfigure the server."

    def accept(self, accepting: AcceptContext) -> None:
        owner = accepting.server.project_id == accepting.context.project_id
        if accepting.server.locked_by and owner and accepting.server.locked_by != "owner":
            return  # an admin's lock is not replaced by the owner's (nova/compute/api.py lock)
        accepting.set_lock("owner" if owner else "admin", accepting.params.get("locked_reason") or "")
