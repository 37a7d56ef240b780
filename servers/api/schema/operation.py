"""What a method of an address accepts and answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from servers.api.resources import Field, Resource, Schema

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """A good answer: a JSON object, or a body of other media types, or none."""

    status: int = 200
    shape: Resource | None = None
    media_types: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    """Those that it has besides those that every answer of the service has."""
    text: str = ""


@dataclass(frozen=True)
class Operation:
    """A method of an address, in words and schemas."""

    summary: str
    replies: tuple[Reply, ...]
    description: str = ""
    body: Schema | Resource | None = None
    """Where the view does not say it itself, by its `bodies`."""
    media_type: str = JSON
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    """HTTP's codes, besides those with which any method of the service may answer."""
    examples: Mapping[str, Schema] = field(default_factory=dict)
    public: bool = False
    bare: bool = False
    """Whether it is answered before the service is reached: without the service's headers and refusals."""
    extension: Schema = field(default_factory=dict)


def shows(summary: str, key: str, shape: Resource) -> Operation:
    """Return the operation that shows one thing under a key."""
    return Operation(summary, (Reply(200, wrapped(key, shape)),))


def wrapped(key: str, shape: Resource, *more: Field, many: bool = False) -> Resource:
    """Return the object that has a thing, or a list of them, under a key; `more` is what else a page has."""
    kind = "Body" if not many else "Page" if more else "List"
    return Resource(f"{shape.name}{kind}", (Field(key, shape, many=many), *more))
