"""unlock: take a server's lock away."""

from __future__ import annotations

from servers.actions.base import ANY_STATE, Action, Body, Exclusivity, Shape
from servers.actions.task import AcceptContext
from servers.policy import Role, Rule

OVERRIDE = "os_compute_api:os-lock-server:unlock:unlock_override"


def _never(params: object) -> bool:
    return False


class Unlock(Action):
    """Unlock the server. An owner may not take an admin's lock away."""

    wire_name = "unlock"
    record_name = "unlock"
    slug = "unlock"
    exclusivity = Exclusivity.IMMEDIATE
    respects_lock = False
    policy = (
        Rule("os_compute_api:os-lock-server:unlock", Role.MEMBER, "unlock a server"),
        Rule(
            OVERRIDE, Role.ADMIN, "unlock a server that an admin has locked", when=_never
        ),  # asked when it is accepted
    )
    bodies = (Body(Shape.ANYTHING),)
    transition = ANY_STATE
    consequence = "Everybody whom the policy permits can change the server again."

    def accept(self, accepting: AcceptContext) -> None:
        owner = accepting.server.project_id == accepting.context.project_id
        if owner and accepting.server.locked_by == "admin":
            accepting.require(OVERRIDE)
        accepting.set_lock("", "")
