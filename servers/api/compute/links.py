"""Addresses and times in answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import QueryDict

from servers.api.resources import TEXT, Body, Field, Read, Resource, fields


class Link(NamedTuple):
    """An address in an answer, and what is there: its relation, and its media type where that is no JSON."""

    rel: str
    href: str
    type: str = ""


LINK = Resource("Link", (*fields("rel href", TEXT), Field("type", TEXT, "type", when="type")))


def links(read: Read, **rest: Any) -> Field:
    """Return the row of a thing's links, which `read` reads as a list of `Link`."""
    return Field("links", LINK, read, many=True, **rest)


@dataclass(frozen=True)
class Links:
    """Makes links like the request's own address: the same version, and the project's id where it stood there."""

    version: str
    project_id: str = ""

    def bookmark(self, *path: object) -> Link:
        """Return the link without a version."""
        return Link("bookmark", f"{settings.PUBLIC_URL}/{self._rest(path)}")

    def both(self, *path: object) -> list[Link]:
        """Return Nova's usual two links."""
        rest = self._rest(path)
        own = Link("self", f"{settings.PUBLIC_URL}/{self.version}/{rest}")
        return [own, Link("bookmark", f"{settings.PUBLIC_URL}/{rest}")]

    def _rest(self, path: tuple[object, ...]) -> str:
        project = [self.project_id] if self.project_id else []
        return "/".join([*project, *(quote(str(part), safe="") for part in path)])


def next_link(path: str, query: QueryDict, marker: object) -> list[Body]:
    """Return the link to the page after `marker`, in a list as Nova has it."""
    values = {**dict(query.lists()), "marker": [str(marker)]}
    href = f"{settings.PUBLIC_URL}{quote(path)}?{urlencode(sorted(values.items()), doseq=True)}"
    return [{"rel": "next", "href": href}]


def seconds(at: datetime | None) -> str | None:
    """Return a time as servers and images show it."""
    return at.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if at else None


def microseconds(at: datetime | None) -> str | None:
    """Return a time as records show it: UTC, and nothing that says so."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") if at else None
