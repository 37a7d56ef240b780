"""Objects that grow with the microversions, and their JSON schemas: for one version, or for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servers.microversions import Microversion

Schema = dict[str, Any]
Refer = Callable[["Shape"], Schema]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "integer"}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
UUID: Schema = {"type": "string", "format": "uuid"}
OBJECT: Schema = {"type": "object"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {**TIME, "type": ["string", "null"]}


def one_of(*words: str) -> Schema:
    """Return the schema of a few words."""
    return {"type": "string", "enum": list(words)}


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


@dataclass(frozen=True)
class Field:
    """A member of an object, in a range of microversions; two rows of one name never overlap."""

    name: str
    schema: Schema | Shape
    since: str | None = None
    until: str | None = None
    optional: bool = False
    """Whether it can be missing where the version has it: it depends on the caller or on the state."""
    many: bool = False
    instead: Schema | None = None
    """What else may stand there."""

    def written(self, refer: Refer) -> Schema:
        """Return the schema of the value."""
        schema = refer(self.schema) if isinstance(self.schema, Shape) else self.schema
        schema = list_of(schema) if self.many else schema
        return schema if self.instead is None else {"anyOf": [schema, self.instead]}

    @property
    def always(self) -> bool:
        """Return whether every answer in every version has it."""
        return not self.optional and self.since is None and self.until is None


@dataclass(frozen=True)
class Shape:
    """An object with a name."""

    name: str
    fields: tuple[Field, ...]
    rest: Schema | bool = False
    """What members may have that are not named."""

    def at(self, version: Microversion) -> Schema:
        """Return the schema in one version, without references."""
        known = [f for f in self.fields if version.between(f.since, f.until)]
        return self._object(
            {f.name: f.written(lambda shape: shape.at(version)) for f in known},
            [f.name for f in known if not f.optional],
        )

    def at_all(self, refer: Refer) -> Schema:
        """Return the schema that fits every version; what a version brought says so."""
        rows: dict[str, list[Field]] = {}
        for field in self.fields:
            rows.setdefault(field.name, []).append(field)
        properties = {name: self._in_all(found, refer) for name, found in rows.items()}
        required = [name for name, found in rows.items() if all(f.always for f in found) or covers(found)]
        return self._object(properties, required)

    def _in_all(self, rows: list[Field], refer: Refer) -> Schema:
        ranges = [{**f.written(refer), **version_range(f.since, f.until)} for f in rows]
        return ranges[0] if len(ranges) == 1 else {"anyOf": ranges}

    def _object(self, properties: Mapping[str, Schema], required: list[str]) -> Schema:
        return {
            "type": "object",
            "properties": dict(properties),
            "required": required,
            "additionalProperties": self.rest,
        }


def covers(rows: list[Field]) -> bool:
    """Return whether the rows of one name together are there in every version."""
    return (
        not any(f.optional for f in rows)
        and any(f.since is None for f in rows)
        and any(f.until is None for f in rows)
        and len(rows) > 1
    )


def version_range(since: str | None, until: str | None) -> Schema:
    """Return the extension that says in which microversions something is there; nothing where it always is."""
    limits = {"min-ver": since, "max-ver": until}
    found = {name: version for name, version in limits.items() if version is not None}
    return {"x-openstack": found} if found else {}


def fields(names: str, schema: Schema | Shape, **rest: Any) -> tuple[Field, ...]:
    """Return several fields of one kind."""
    return tuple(Field(name, schema, **rest) for name in names.split())
