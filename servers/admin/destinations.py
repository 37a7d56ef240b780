"""Where a server could go: the scheduler's opinion of each host, for the form to show."""

from __future__ import annotations

from dataclasses import dataclass

from servers import policy
from servers.actions import Action
from servers.admin.forms import ActionForm
from servers.engine.accepting.submit import refuses_rules
from servers.engine.capacity.scheduling import explain_hosts
from servers.engine.visibility import HYPERVISORS
from servers.models import Server
from servers.policy import Context

ANY = "*"
"""Stands for whatever host: rules ask whether one is named, not which."""


@dataclass(frozen=True)
class Destination:
    """A host to choose. `name` is empty for: let the scheduler choose."""

    name: str
    accepted: bool
    reason: str
    weight: float | None
    chosen: bool


@dataclass(frozen=True)
class Destinations:
    """The hosts to choose among, or why none may be named."""

    hosts: tuple[Destination, ...]
    refusal: str = ""


def destinations_of(
    form: ActionForm, action: type[Action], server: Server, context: Context
) -> Destinations | None:
    """Return what to show for the destination.

    None where the action has none, and where the caller may name a host but not see which ones there are.
    """
    field = form.host_field()
    if field is None:
        return None
    refusal = naming_is_refused(action, server, context)
    if refusal is not None:
        return Destinations((), refusal)
    if not policy.in_force().allows(context, HYPERVISORS):
        return None
    chosen = str(field.value() or "")
    verdicts = sorted(explain_hosts(server), key=lambda v: (not v.accepted, -(v.weight or 0), v.host))
    hosts = [Destination(v.host, v.accepted, v.reason, v.weight, v.host == chosen) for v in verdicts]
    return Destinations(tuple(hosts))


def naming_is_refused(action: type[Action], server: Server, context: Context) -> str | None:
    """Return why the caller may not name a host, or None: rules alone decide.

    Empty where he may not ask for the action at all: then the page says why elsewhere.
    """
    refusal = refuses_rules(action, {"host": ANY}, context, server.project_id)
    if refusal is None:
        return None
    return "" if refuses_rules(action, {}, context, server.project_id) else str(refusal)
