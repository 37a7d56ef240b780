"""A resource is a table: each field says its name, its microversions, its schema, who sees it, and how it is read.

The body of an answer and the schema in the OpenAPI document both come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from types import FunctionType
from typing import Any, Protocol

from servers.microversions import MINIMUM, Microversion

Schema = dict[str, Any]
Body = dict[str, Any]
Refer = Callable[["Resource"], Schema]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER: Schema = {"type": "integer"}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
FLAG: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}
UUID: Schema = {"type": "string", "format": "uuid"}
OBJECT: Schema = {"type": "object"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {**TIME, "type": ["string", "null"]}


def one_of(*words: str) -> Schema:
    """Return the schema of a few words."""
    return {"type": "string", "enum": list(words)}


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def an_object(
    required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any
) -> Schema:
    """Return the schema of an object by the members that it has, and those that it may have."""
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        **({"required": [*required]} if required else {}),
        **more,
    }


def object_of(values: Schema) -> Schema:
    """Return the schema of an object whose values are of one kind, under any names."""
    return {"type": "object", "additionalProperties": values}


TEXTS = object_of(TEXT)


class Asked(Protocol):
    """The request that is answered, as far as a body depends on it."""

    @property
    def version(self) -> Microversion: ...
    def allows(self, rule: str, project_id: str | None = None) -> bool:
        """Return whether the caller may see what the policy rule protects, in this project or the caller's own."""
        ...


class NoRequest:
    """What a body depends on where it depends on no request: there is one version, and nobody is allowed anything."""

    version = MINIMUM

    def allows(self, rule: str, project_id: str | None = None) -> bool:
        return False


class Absent(Enum):
    """The mark of a member that is left out."""

    MEMBER = "left out"


Read = str | Callable[[Any], Any] | Callable[[Any, Any], Any]
"""The name of an attribute, dots and all; or a function of the thing; or one of the thing and of `Asked`."""


def project_of(thing: Any) -> str | None:
    """Return the project to which a thing belongs, None where it belongs to none."""
    return getattr(thing, "project_id", None)


@dataclass(frozen=True)
class Field:
    """A member of an object, in a range of microversions; two rows of one name never overlap."""

    name: str
    schema: Schema | Resource
    read: Read | None = None
    """How the value is read of the thing that is shown. Where the schema is a resource, its body is made of the value."""
    since: str | None = None
    until: str | None = None
    rule: str = ""
    """The policy rule without which the caller does not see it, in the resource's `project`."""
    when: Read | None = None
    """Of which things it is shown, said as `read` says a value; of all where it is not said."""
    otherwise: Any = Absent.MEMBER
    """What stands there where `rule` or `when` does not let it be shown; nothing where it is not said."""
    optional: bool = False
    """Whether it can be missing for another reason than `rule` and `when`."""
    many: bool = False
    """Whether it is a list."""
    by_name: bool = False
    """Whether it is an object of such values, or of such lists, each under a name of its own."""

    def written(self, refer: Refer) -> Schema:
        """Return the schema of the value."""
        schema = refer(self.schema) if isinstance(self.schema, Resource) else self.schema
        schema = list_of(schema) if self.many else schema
        schema = object_of(schema) if self.by_name else schema
        if self.otherwise is Absent.MEMBER or (self.otherwise is None and "null" in schema.get("type", ())):
            return schema
        return {"anyOf": [schema, {"const": self.otherwise}]}

    @property
    def is_guarded(self) -> bool:
        """Return whether it is not shown to everybody of everything."""
        return bool(self.rule) or self.when is not None

    @property
    def may_be_missing(self) -> bool:
        """Return whether an answer in its versions can be without it."""
        return self.optional or (self.is_guarded and self.otherwise is Absent.MEMBER)

    def reader(self, asked: Asked, may: May) -> Callable[[Any], Any]:
        """Return what reads the value of a thing for this request. Raises LookupError where it does not say how."""
        if self.read is None:
            raise LookupError(f"{self.name} does not say how it is read")
        read = reading(self.read, asked)
        if not isinstance(self.schema, Resource):
            return read
        make: Callable[[Any], Any] = Bodies(self.schema, asked, may)
        make = in_list(make) if self.many else make
        make = in_object(make) if self.by_name else make
        return lambda thing: make(read(thing))

    def condition(self, asked: Asked) -> Callable[[Any], Any] | None:
        """Return what says for this request of which things it is shown, None for all."""
        return None if self.when is None else reading(self.when, asked)

    @property
    def always(self) -> bool:
        """Return whether every answer in every version has it."""
        return not self.may_be_missing and self.since is None and self.until is None


@dataclass(frozen=True)
class Resource:
    """An object with a name, and its members."""

    name: str
    fields: tuple[Field, ...]
    rest: Schema | bool = False
    """What members may have that are not named."""
    others: Read | None = None
    """How the members are read that are not named: as a mapping. What is named stands in the place of its namesake."""
    project: Read = project_of
    """In which project its rules are asked, said as a field says a value; None is the caller's own."""

    def at(self, version: Microversion) -> Schema:
        """Return the schema in one version, without references."""
        known = [f for f in self.fields if version.between(f.since, f.until)]
        return self._object(
            {f.name: f.written(lambda resource: resource.at(version)) for f in known},
            [f.name for f in known if not f.may_be_missing],
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


May = Callable[[str, str | None], bool]
Guarded = tuple[Field, Callable[[Any], Any], Callable[[Any], Any] | None]
"""A field, what reads it, and what says of which things it is shown."""


class Bodies:
    """Makes the bodies of a resource for one request, or for every one where none is given.

    What the request decides is decided once, not once a thing; a rule is asked once a project.
    """

    def __init__(self, resource: Resource, asked: Asked | None = None, may: May | None = None) -> None:
        asked = asked or NoRequest()
        self.may = may or cache(asked.allows)
        self.others = reading(resource.others, asked) if resource.others else None
        self.project = reading(resource.project, asked)
        shown = [f for f in resource.fields if asked.version.between(f.since, f.until)]
        self.always = [(f.name, f.reader(asked, self.may)) for f in shown if not f.is_guarded]
        self.guarded: dict[str, list[Guarded]] = {}
        for field in (f for f in shown if f.is_guarded):
            row = (field, field.reader(asked, self.may), field.condition(asked))
            self.guarded.setdefault(field.rule, []).append(row)

    def __call__(self, thing: Any) -> Body:
        """Return the body of a thing."""
        body: Body = dict(self.others(thing)) if self.others else {}
        for name, read in self.always:
            body[name] = read(thing)
        for rule, rows in self.guarded.items():
            allowed = not rule or self.may(rule, self.project(thing))
            for field, read, condition in rows:
                if allowed and (condition is None or condition(thing)):
                    body[field.name] = read(thing)
                elif field.otherwise is not Absent.MEMBER:
                    body[field.name] = field.otherwise
        return body


def reading(read: Read, asked: Asked) -> Callable[[Any], Any]:
    """Return the function of a thing alone that reads a value for this request."""
    if isinstance(read, str):
        return attrgetter(read)
    if not takes_request(read):
        return read  # type: ignore[return-value]
    return lambda thing: read(thing, asked)  # type: ignore[call-arg]


def takes_request(read: Callable[..., Any]) -> bool:
    """Return whether a function reads a value of a thing and of the request."""
    return isinstance(read, FunctionType) and read.__code__.co_argcount == 2


def in_list(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes a list of bodies, one of each thing."""
    return lambda things: [make(one) for one in things]


def in_object(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes an object of bodies, each under the name of its thing."""
    return lambda things: {name: make(one) for name, one in things.items()}


def itself(thing: Any) -> Any:
    """Return the thing: for a member whose own fields are read of the same one."""
    return thing


def fixed(value: Any) -> Callable[[Any], Any]:
    """Return what reads the same of every thing."""
    return lambda thing: value


def or_null(attribute: str) -> Callable[[Any], Any]:
    """Return what reads an attribute, null where it is empty."""
    read = attrgetter(attribute)
    return lambda thing: read(thing) or None


def covers(rows: list[Field]) -> bool:
    """Return whether the rows of one name together are there in every version."""
    return (
        not any(f.may_be_missing for f in rows)
        and any(f.since is None for f in rows)
        and any(f.until is None for f in rows)
        and len(rows) > 1
    )


def version_range(since: str | None, until: str | None) -> Schema:
    """Return the extension that says in which microversions something is there; nothing where it always is."""
    limits = {"min-ver": since, "max-ver": until}
    found = {name: version for name, version in limits.items() if version is not None}
    return {"x-openstack": found} if found else {}


def fields(names: str, schema: Schema | Resource, read: Read | None = None, **rest: Any) -> tuple[Field, ...]:
    """Return several fields of one kind, each read by `read`, or of the attribute of its name."""
    return tuple(Field(name, schema, read or name, **rest) for name in names.split())
