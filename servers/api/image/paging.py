"""In which order a list shows images, and from where on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Q
from django.db.models.expressions import OrderBy
from django.http import QueryDict

from servers.api.image.query import COLUMNS, IDENTIFIERS, NOTHING, TIMES, number, wanted
from servers.api.image.visibility import identifier, visible
from servers.errors import InvalidParameters
from servers.models import Image
from servers.policy import Context

MAX_LIMIT = 1000
SORT_KEYS = {**COLUMNS, **IDENTIFIERS, **TIMES, "size": "size_bytes"}


@dataclass(frozen=True)
class Key:
    """A field to sort by. What is not known comes first when ascending and last when descending, on every database."""

    field: str
    descending: bool

    def order(self) -> OrderBy:
        """Return the key for the database."""
        if self.descending:
            return F(self.field).desc(nulls_last=True)
        return F(self.field).asc(nulls_first=True)

    def behind(self, value: Any) -> Q:
        """Return the condition for what comes after this value."""
        if value is None:
            return NOTHING if self.descending else Q(**{f"{self.field}__isnull": False})
        if self.descending:
            return Q(**{f"{self.field}__lt": value}) | Q(**{f"{self.field}__isnull": True})
        return Q(**{f"{self.field}__gt": value})


def page(context: Context, query: QueryDict) -> tuple[list[Image], bool]:
    """Return the images from behind the marker on, and whether there are more. Raises InvalidParameters."""
    limit = min(number("limit", str(query["limit"])), MAX_LIMIT) if "limit" in query else MAX_LIMIT
    keys = sorting(query)
    images = wanted(visible(context), query)
    if "marker" in query:
        images = images.filter(behind(keys, marker(context, str(query["marker"]))))
    found = list(images.order_by(*(key.order() for key in keys))[: limit + 1])
    return found[:limit], len(found) > limit


def marker(context: Context, text: str) -> Image:
    """Return the image behind which the page begins. Raises InvalidParameters."""
    pk = identifier(text)
    row = visible(context).filter(pk=pk).first() if pk else None
    if row is None:
        raise InvalidParameters(detail=f"Marker {text!r} could not be found")
    return row


def sorting(query: QueryDict) -> list[Key]:
    """Return the keys of the list; the UUID decides between equals, so that paging never skips. Raises InvalidParameters."""
    if "sort" in query:
        pairs = [part.partition(":")[::2] for part in str(query["sort"]).split(",")]
    else:
        names = query.getlist("sort_key") or ["created_at"]
        directions = query.getlist("sort_dir") or ["desc"]
        directions += directions[-1:] * (len(names) - len(directions))
        pairs = list(zip(names, directions, strict=False))
    keys = [sort_key(name, direction) for name, direction in pairs]
    if "uuid" not in [key.field for key in keys]:
        keys.append(Key("uuid", keys[-1].descending))
    return keys


def sort_key(name: str, direction: str) -> Key:
    """Return one key; descending unless it is said otherwise. Raises InvalidParameters."""
    if name not in SORT_KEYS or direction not in {"", "asc", "desc"}:
        raise InvalidParameters(detail=f"Invalid sort key or direction: {name} {direction}")
    return Key(SORT_KEYS[name], direction != "asc")


def behind(keys: list[Key], row: Image) -> Q:
    """Return the condition for what comes after `row` in this order."""
    found, same = NOTHING, Q()
    for key in keys:
        value = getattr(row, key.field)
        found |= same & key.behind(value)
        same &= Q(**{key.field: value}) if value is not None else Q(**{f"{key.field}__isnull": True})
    return found
