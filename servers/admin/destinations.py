"""Where a server could go: the scheduler's opinion of each host, for the form to show."""

from __future__ import annotations

from dataclasses import dataclass

from servers.actions import Action
from servers.admin.forms import ActionForm
from servers.engine.accepting.submit import refuses_rules
from servers.engine.capacity.scheduling import explain_hosts
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
    """Return what to show for the destination, or None where the action has none."""
    field = form.host_field()
    if field is None:
        return None
    refusal = naming_is_refused(action, server, context)
    if refusal:
        return Destinations((), refusal)
    chosen = str(field.value() or "")
    verdicts = sorted(explain_hosts(server), key=lambda v: (not v.accepted, -(v.weight or 0), v.host))
    hosts = [Destination(v.host, v.accepted, v.reason, v.weight, v.host == chosen) for v in verdicts]
    return Destinations(tuple(hosts))


def naming_is_refused(action: type[Action], server: Server, context: Context) -> str:
    """Return why the caller may not name a host where he may ask for the action, or nothing: rules alone decide."""
    if refuses_rules(action, {}, context, server.project_id) is not None:
        return ""
    return str(refuses_rules(action, {"host": ANY}, context, server.project_id) or "")
