"""The actions: for each the body by range of microversions, and what may be answered; all of it from its definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from servers.actions import Action, registry
from servers.actions.base import ANY_STATE, Answer, Exclusivity
from servers.api.compute.actions import IMAGE_ID_IN_BODY
from servers.api.compute.schemas import action_schema
from servers.api.faults import status_of
from servers.api.resources import UUID, Field, Resource, Schema, version_range
from servers.api.schema.operation import Operation, Reply
from servers.errors import (
    ActionUnresolved,
    GuestSeenTwice,
    InstanceLocked,
    InstanceMissing,
    InvalidParameters,
    InvalidState,
    NotPermitted,
    Refusal,
    StaleRow,
    Unauthenticated,
    WrongState,
)
from servers.microversions import HISTORY, Microversion, maximum

IMAGE_ID = Resource("ImageId", (Field("image_id", UUID),))
ALWAYS: tuple[type[Refusal], ...] = (
    InvalidParameters,
    Unauthenticated,
    NotPermitted,
    InstanceMissing,
    StaleRow,
)
"""With what a request for any action may be refused."""


@dataclass(frozen=True)
class Body:
    """The body of an action's request in a range of microversions."""

    action: type[Action]
    since: Microversion
    until: Microversion

    @property
    def name(self) -> str:
        """Return the component's name."""
        return f"{self.action.wire_name}_{self.since}-{self.until}"

    def schema(self) -> Schema:
        """Return the schema, with what the definition says of action and parameters."""
        schema = action_schema(self.action, self.since)
        value = schema["properties"][self.action.wire_name]
        for parameter in self.action.parameters_at(self.since):
            if parameter.name in value.get("properties", {}):
                value["properties"][parameter.name]["description"] = parameter.help
        return {
            "title": f"{self.action.wire_name} ({self.since} to {self.until})",
            "description": self.action.summary(),
            **schema,
            "x-openstack": {
                "action-name": self.action.wire_name,
                "min-ver": str(self.since),
                "max-ver": str(self.until),
            },
        }


def bodies(action: type[Action]) -> Iterator[Body]:
    """Return the bodies of an action, oldest first; two neighbours differ."""
    spoken = [v for v in map(Microversion.parse, HISTORY) if v.between(action.since, str(maximum()))]
    for _, versions in groupby(spoken, key=lambda version: action_schema(action, version)):
        found = list(versions)
        yield Body(action, found[0], found[-1])


def on_servers() -> list[type[Action]]:
    """Return the actions of `POST /servers/{id}/action`."""
    return [a for a in registry.values() if a.wire_name and not a.on_migration]


def on_migrations() -> list[type[Action]]:
    """Return the actions of `POST /servers/{id}/migrations/{id}/action`."""
    return [a for a in registry.values() if a.wire_name and a.on_migration]


def refusals(action: type[Action]) -> list[type[Refusal]]:
    """Return with what a request for the action may be refused, each class once: by the engine, and by its definition."""
    found = {*ALWAYS, *action.refusals}
    if action.respects_lock:
        found.add(InstanceLocked)
    if action.transition is not ANY_STATE:
        found |= {WrongState, InvalidState}
    if action.looks_first:
        found.add(GuestSeenTwice)
    if action.exclusivity is Exclusivity.EXCLUSIVE:
        found.add(ActionUnresolved)
    return sorted(found, key=lambda kind: (status_of(kind), kind.code))


def statuses(action: type[Action]) -> dict[int, list[str]]:
    """Return by HTTP's code what it may mean for this action."""
    found: dict[int, list[str]] = {}
    for kind in refusals(action):
        found.setdefault(status_of(kind), []).append(kind.code)
    return found


def facts(action: type[Action]) -> Schema:
    """Return what the extension says of an action."""
    said: Schema = {
        "summary": action.summary(),
        "consequence": action.consequence or action.summary(),
        "policy": [rule.name for rule in action.policy],
        "refusals": {str(code): words for code, words in sorted(statuses(action).items())},
        "faults": [fault.code for fault in action.errors],
        **version_range(action.since, None),
    }
    waits = sorted({step.in_request for step in action.steps if step.in_request is not None})
    if waits:
        said["answers-faults-below"] = waits[0]
    return said


def text_of(action: type[Action]) -> str:
    """Return a paragraph about an action, in Markdown."""
    refused = "; ".join(f"{code}: {', '.join(words)}" for code, words in sorted(statuses(action).items()))
    ended = ", ".join(fault.code for fault in action.errors) or "none of its own"
    return f"**{action.wire_name}**: {action.summary()} Refused with {refused}. Faults with which it may end: {ended}."


def good_replies(actions: list[type[Action]]) -> tuple[Reply, ...]:
    """Return how the actions answer when they are accepted."""
    answers = {action.answer for action in actions}
    replies = [Reply(202, None, text="Accepted.")]
    if Answer.IMAGE in answers:
        text = f"Accepted. A backup has its image in a Location, since {IMAGE_ID_IN_BODY} in the body."
        replies = [Reply(202, IMAGE_ID, ("application/json", "text/html"), ("Location",), text)]
    if Answer.NO_CONTENT in answers:
        replies.append(Reply(204, text="Accepted, with nothing to tell."))
    return tuple(replies)


def operation(summary: str, actions: list[type[Action]]) -> Operation:
    """Return the operation of an address that takes these actions."""
    codes = {code for action in actions for code in statuses(action)}
    if any(step.in_request for action in actions for step in action.steps):
        codes.add(500)  # a fault of a live migration that waits in the request, as in Nova
    refs = [{"$ref": f"#/components/schemas/{body.name}"} for action in actions for body in bodies(action)]
    return Operation(
        summary,
        good_replies(actions),
        "\n\n".join(text_of(action) for action in actions),
        body={"anyOf": refs} if refs else {},
        refusals=tuple(sorted(codes)),
        examples={f"{a.wire_name} {e.version}": {a.wire_name: e.value} for a in actions for e in a.examples},
        extension={"x-openstack": {"actions": {a.wire_name: facts(a) for a in actions}}},
    )


def abort() -> Operation:
    """Return the operation of the action that has an address of its own."""
    action = registry["abort-migration"]
    codes = tuple(sorted(statuses(action)))
    extension = {"x-openstack": {"actions": {action.slug: facts(action)}}}
    return Operation(action.summary(), (Reply(202, text="Accepted."),), refusals=codes, extension=extension)
