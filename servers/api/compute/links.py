"""Addresses in answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from django.conf import settings
from django.http import QueryDict

Link = dict[str, str]


@dataclass(frozen=True)
class Links:
    """Makes links like the request's own address: the same version, and the project's id where it stood there."""

    version: str
    project_id: str = ""

    def own(self, *path: object) -> str:
        """Return the address in this version."""
        return "/".join([settings.PUBLIC_URL, self.version, *self._rest(path)])

    def bookmark(self, *path: object) -> str:
        """Return the address without a version."""
        return "/".join([settings.PUBLIC_URL, *self._rest(path)])

    def both(self, *path: object) -> list[Link]:
        """Return Nova's usual two links."""
        return [
            {"rel": "self", "href": self.own(*path)},
            {"rel": "bookmark", "href": self.bookmark(*path)},
        ]

    def _rest(self, path: tuple[object, ...]) -> list[str]:
        project = [self.project_id] if self.project_id else []
        return project + [quote(str(part), safe="") for part in path]


def next_link(path: str, query: QueryDict, marker: object) -> list[Link]:
    """Return the link to the page after `marker`, in a list as Nova has it."""
    values = {**dict(query.lists()), "marker": [str(marker)]}
    href = f"{settings.PUBLIC_URL}{quote(path)}?{urlencode(sorted(values.items()), doseq=True)}"
    return [{"rel": "next", "href": href}]


def seconds(at: datetime | None) -> str | None:
    """Return a time as servers and images show it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def microseconds(at: datetime | None) -> str | None:
    """Return a time as records show it: UTC, and nothing that says so."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f") if at else None
