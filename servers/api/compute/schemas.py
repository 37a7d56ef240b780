"""How each kind of parameter, and each action, looks as a JSON schema."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from servers.actions import kinds
from servers.actions.base import Action, Shape
from servers.microversions import Microversion

Schema = dict[str, Any]

HOST_PATTERN = rf"^{kinds.HostName.characters}*$(?!\n)"
KEY_PATTERN = rf"^{kinds.KeyValues.key_characters}{{1,{kinds.KeyValues.max_length}}}$(?!\n)"
DIGITS_PATTERN = r"^[0-9]*$(?!\n)"
"""`(?!\\n)`: Python's `$` also matches before a last newline."""

LONGEST_NUMBER = 4000
"""Digits; Python reads at most 4300."""


@singledispatch
def schema_of(kind: kinds.Kind) -> Schema:
    """Return the JSON schema of a kind."""
    raise NotImplementedError(f"no JSON schema says how {type(kind).__name__} looks")


@schema_of.register
def _(kind: kinds.Boolean) -> Schema:
    words = [True, *kinds.TRUE_WORDS, False, *kinds.FALSE_WORDS]
    return {"type": ["boolean", "string"], "enum": words}


@schema_of.register
def _(kind: kinds.BooleanOrAuto) -> Schema:
    words = [True, *kinds.TRUE_WORDS, False, *kinds.FALSE_WORDS, "auto"]
    return {"type": ["boolean", "string"], "enum": words}


@schema_of.register
def _(kind: kinds.HostName) -> Schema:
    types = ["string", "null"] if kind.nullable else "string"
    return {"type": types, "minLength": 1, "maxLength": kind.max_length, "pattern": HOST_PATTERN}


@schema_of.register
def _(kind: kinds.Name) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": kind.max_length, "format": "name"}


@schema_of.register
def _(kind: kinds.Text) -> Schema:
    schema: Schema = {"type": ["string", "null"] if kind.nullable else "string"}
    if kind.min_length:
        schema["minLength"] = kind.min_length
    if kind.max_length is not None:
        schema["maxLength"] = kind.max_length
    return schema


@schema_of.register
def _(kind: kinds.Secret) -> Schema:
    return {"type": "string"}


@schema_of.register
def _(kind: kinds.Count) -> Schema:
    return {
        "type": ["integer", "string"],
        "pattern": DIGITS_PATTERN,
        "minLength": 1,
        "maxLength": LONGEST_NUMBER,
        "minimum": kind.minimum,
    }


@schema_of.register
def _(kind: kinds.Choice) -> Schema:
    return {"type": "string", "enum": list(kind.values)}


@schema_of.register
def _(kind: kinds.KeyValues) -> Schema:
    return {
        "type": "object",
        "patternProperties": {KEY_PATTERN: {"type": "string", "maxLength": kind.max_length}},
        "additionalProperties": False,
    }


@schema_of.register
def _(kind: kinds.MigrationId) -> Schema:
    return {"type": "integer"}


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
