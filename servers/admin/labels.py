"""What actions, steps and parameters are called on the screen."""

from __future__ import annotations

import re

from servers.actions import Action, definitions
from servers.actions.base import Parameter


def action_label(action: type[Action]) -> str:
    """Return the action's name for people: live-migration becomes Live migration."""
    return action.slug.replace("-", " ").capitalize()


def label_of_slug(slug: str, name: str = "") -> str:
    """Return the label of a recorded action, even of one that is no longer defined."""
    action = definitions.get(slug)
    return action_label(action) if action else name or slug


def step_label(name: str) -> str:
    """Return a step's or an event's name for people."""
    return name.removeprefix("compute_").replace("_", " ").capitalize()


def parameter_label(parameter: Parameter) -> str:
    """Return a parameter's name for people: block_migration and adminPass become Block migration, Admin pass."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", parameter.name).replace("_", " ")
    return words.capitalize()


def versions_of(parameter: Parameter) -> str:
    """Return which microversions know a parameter."""
    if parameter.since and parameter.until:
        return f"microversions {parameter.since} to {parameter.until}"
    if parameter.until:
        return f"microversions until {parameter.until}"
    return f"microversions since {parameter.since}" if parameter.since else "every microversion"
