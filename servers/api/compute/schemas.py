"""How each kind of parameter, and each action, looks as a JSON schema."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from servers.actions import kinds
from servers.actions.base import Action, Shape
from servers.microversions import Microversion

Schema = dict[str, Any]

END = r"$(?!\n)"
"""The end of a pattern: Python's `$` also matches before a last newline."""


@singledispatch
def schema_of(kind: kinds.Kind) -> Schema:
    """Return the JSON schema of a kind."""
    raise NotImplementedError(f"no JSON schema says how {type(kind).__name__} looks")


@schema_of.register
def _(kind: kinds.Choice) -> Schema:
    return {"type": "string", "enum": list(kind.values)}


@schema_of.register
def _(kind: kinds.Boolean) -> Schema:
    return {"type": ["boolean", "string"], "enum": list(kind.values)}


@schema_of.register
def text_schema(kind: kinds.Text) -> Schema:
    """Return the schema of a string within limits."""
    schema: Schema = {"type": "string", "maxLength": kind.max_length}
    if kind.min_length:
        schema["minLength"] = kind.min_length
    if kind.characters:
        schema["pattern"] = f"^{kind.characters}*{END}"
    return schema


@schema_of.register
def _(kind: kinds.HostName) -> Schema:
    return {**text_schema(kind), "type": ["string", "null"] if kind.nullable else "string"}


@schema_of.register
def _(kind: kinds.Name) -> Schema:
    return {**text_schema(kind), "format": "name"}


@schema_of.register
def _(kind: kinds.Secret) -> Schema:
    return {**text_schema(kind), "format": "password", "writeOnly": True}


@schema_of.register
def _(kind: kinds.Count) -> Schema:
    return {**text_schema(kind.digits), "type": ["integer", "string"], "minimum": 0}


@schema_of.register
def _(kind: kinds.KeyValues) -> Schema:
    key = kind.key
    pattern = f"^{key.characters}{{{key.min_length},{key.max_length}}}{END}"
    return {
        "type": "object",
        "patternProperties": {pattern: text_schema(kind.value)},
        "additionalProperties": False,
    }


def value_schema(action: type[Action], version: Microversion) -> Schema:
    """Return the schema of the value that stands under the action's key."""
    shape = action.body(version)
    if shape is Shape.ANYTHING:
        return {}
    if shape is Shape.NULL:
        return {"type": "null"}
    parameters = [p for p in action.parameters_at(version) if not p.in_path]
    return {
        "type": ["object", "null"] if shape is Shape.OBJECT_OR_NULL else "object",
        "properties": {p.name: schema_of(p.kind) for p in parameters},
        "required": [p.name for p in parameters if p.required],
        "additionalProperties": False,
    }


def action_schema(action: type[Action], version: Microversion) -> Schema:
    """Return the schema of a whole action request."""
    return {
        "type": "object",
        "properties": {action.wire_name: value_schema(action, version)},
        "required": [action.wire_name],
        "additionalProperties": False,
    }
