"""Which images a list shows, in which order, and from where on."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from servers import policy
from servers.errors import InvalidParameters
from servers.models import Image
from servers.policy import Context
from servers.states import ImageStatus

MAX_LIMIT = 1000
COLUMNS = {
    "id": "uuid",
    "name": "name",
    "status": "status",
    "owner": "project_id",
    "visibility": "visibility",
    "image_type": "image_type",
    "backup_type": "backup_type",
    "instance_uuid": "instance_uuid",
    "user_id": "user_id",
    "disk_format": "disk_format",
    "container_format": "container_format",
}
SORT_KEYS = {**COLUMNS, "created_at": "created_at", "updated_at": "updated_at", "size": "size_bytes"}
PAGING = {"limit", "marker", "sort_key", "sort_dir", "sort", "member_status", "os_hidden"}
LISTABLE = {"id", "name", "status", "disk_format", "container_format"}
COMPARISONS = {"gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte", "eq": "exact", "neq": "exact"}


def visible(context: Context) -> QuerySet[Image]:
    """Return the images that the caller may see: its project's, all for an admin; deleted ones never."""
    images = Image.objects.exclude(status=ImageStatus.DELETED)
    if policy.in_force().is_admin(context):
        return images
    shared = Q(visibility="shared", properties__instance_owner=context.project_id)
    return images.filter(Q(project_id=context.project_id) | Q(visibility="public") | shared)


def wanted(images: QuerySet[Image], query: QueryDict) -> QuerySet[Image]:
    """Return the images that pass every filter of the query. Raises InvalidParameters."""
    for key in query:
        if key in PAGING:
            continue
        for value in query.getlist(key):
            images = _filter(images, key, value)
    return images


def _filter(images: QuerySet[Image], key: str, value: str) -> QuerySet[Image]:
    if "\0" in key + value:
        raise InvalidParameters(detail=f"Invalid value for {key!r}")
    if key in {"created_at", "updated_at"}:
        return _by_time(images, key, value)
    if key in {"size_min", "size_max"}:
        bound = _number(key, value)
        return images.filter(**{"size_bytes__gte" if key == "size_min" else "size_bytes__lte": bound})
    if key == "protected":
        return images.filter(protected=value.lower() == "true")
    if key == "tag":
        return images.none()
    values = value[3:].split(",") if key in LISTABLE and value.startswith("in:") else [value]
    values = [v.strip('"') for v in values]
    if key in {"id", "instance_uuid"}:
        return images.filter(**{f"{COLUMNS[key]}__in": [u for u in map(_uuid, values) if u]})
    if key == "visibility" and value == "all":
        return images
    if key in COLUMNS:
        return images.filter(**{f"{COLUMNS[key]}__in": values})
    return _by_property(images, key, value)


def _by_property(images: QuerySet[Image], key: str, value: str) -> QuerySet[Image]:
    found = [i.pk for i in images.only("uuid", "properties") if str(i.properties.get(key)) == value]
    return images.filter(pk__in=found)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _number(key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise InvalidParameters(detail=f"{key} must be a whole number, not {value!r}")
    return int(value)


def _by_time(images: QuerySet[Image], key: str, value: str) -> QuerySet[Image]:
    word, colon, rest = value.partition(":")
    comparison, text = (word, rest) if colon and word in COMPARISONS else ("eq", value)
    try:
        moment = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidParameters(detail=f"{key} must be a time in ISO 8601, not {value!r}")
    condition = Q(**{f"{key}__{COMPARISONS[comparison]}": moment})
    return images.exclude(condition) if comparison == "neq" else images.filter(condition)


def order(query: QueryDict) -> list[str]:
    """Return the order of the list; within one second the UUID decides, so that paging never skips. Raises InvalidParameters."""
    if "sort" in query:
        pairs = [part.partition(":")[::2] for part in str(query["sort"]).split(",")]
    else:
        keys = query.getlist("sort_key") or ["created_at"]
        directions = query.getlist("sort_dir") or ["desc"]
        directions += directions[-1:] * (len(keys) - len(directions))
        pairs = list(zip(keys, directions, strict=False))
    found = []
    for key, direction in pairs:
        if key not in SORT_KEYS or direction not in {"", "asc", "desc"}:
            raise InvalidParameters(detail=f"Invalid sort key or direction: {key} {direction}")
        found.append(("" if direction == "asc" else "-") + SORT_KEYS[key])
    last = "uuid" if found[-1][0] != "-" else "-uuid"
    return found if last in found else [*found, last]


def page(images: QuerySet[Image], query: QueryDict) -> tuple[list[Image], bool]:
    """Return the images from behind the marker on, and whether there are more. Raises InvalidParameters."""
    limit = min(_number("limit", str(query["limit"])), MAX_LIMIT) if "limit" in query else MAX_LIMIT
    fields = order(query)
    ordered = images.order_by(*fields)
    if "marker" in query:
        marker = _uuid(str(query["marker"]))
        row = Image.objects.filter(pk=marker).first() if marker else None
        if row is None:
            raise InvalidParameters(detail=f"Marker {query['marker']!r} could not be found")
        ordered = ordered.filter(behind(fields, row))
    found = list(ordered[: limit + 1])
    return found[:limit], len(found) > limit


def behind(fields: list[str], row: Image) -> Q:
    """Return the condition for what comes after `row` in this order."""
    conditions: list[Q] = []
    same: Mapping[str, Any] = {}
    for field in fields:
        name = field.lstrip("-")
        value = getattr(row, name)
        if value is not None:
            comparison = "lt" if field.startswith("-") else "gt"
            conditions.append(Q(**same, **{f"{name}__{comparison}": value}))
        same = {**same, name: value}
    either: Callable[[Q, Q], Q] = operator.or_
    return reduce(either, conditions, Q(pk__in=[]))
