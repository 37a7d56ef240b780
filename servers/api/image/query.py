"""Which images pass the filters of a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from servers.api.image.bodies import properties
from servers.api.image.visibility import identifier
from servers.errors import InvalidParameters
from servers.models import Image

COLUMNS = {
    "name": "name",
    "status": "status",
    "owner": "project_id",
    "visibility": "visibility",
    "image_type": "image_type",
    "backup_type": "backup_type",
    "user_id": "user_id",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "os_hash_value": "sha256",
}
IDENTIFIERS = {"id": "uuid", "instance_uuid": "instance_uuid"}
NUMBERS = {
    "size": "size_bytes",
    "size_min": "size_bytes__gte",
    "size_max": "size_bytes__lte",
    "min_disk": "min_disk",
    "min_ram": "min_ram",
}
TIMES = {"created_at": "created_at", "updated_at": "changed_at"}
FLAGS = {"true": True, "false": False}
NO_FILTERS = {"limit", "marker", "sort_key", "sort_dir", "sort", "member_status"}
LISTABLE = {"id", "name", "status", "disk_format", "container_format"}
NOTHING = Q(pk__in=[])


def wanted(images: QuerySet[Image], query: QueryDict) -> QuerySet[Image]:
    """Return the images that pass every filter of the query. Raises InvalidParameters."""
    asked_properties = []
    for key in query:
        for value in () if key in NO_FILTERS else query.getlist(key):
            found = condition(key, value)
            if found is None:
                asked_properties.append((key, value))
            else:
                images = images.filter(found)
    return having(images, asked_properties) if asked_properties else images


def condition(key: str, value: str) -> Q | None:
    """Return the condition that a filter means, None for one of a further property. Raises InvalidParameters."""
    if key in TIMES:
        return at(TIMES[key], key, value)
    if key in NUMBERS:
        return Q(**{NUMBERS[key]: number(key, value)})
    if key in {"protected", "os_hidden"}:
        asked = flag(key, value)
        return Q(protected=asked) if key == "protected" else NOTHING if asked else Q()
    if key == "tag":
        return NOTHING
    if key in IDENTIFIERS:
        known = [pk for pk in map(identifier, alternatives(key, value)) if pk]
        return Q(**{f"{IDENTIFIERS[key]}__in": known})
    if key == "visibility" and value == "all":
        return Q()
    if key in COLUMNS:
        return Q(**{f"{COLUMNS[key]}__in": alternatives(key, value)})
    return None


def having(images: QuerySet[Image], asked: list[tuple[str, str]]) -> QuerySet[Image]:
    """Return the images with these further properties, as clients see them; one query for all of them."""
    rows = images.only("uuid", "properties")
    found = [i.pk for i in rows if all(properties(i).get(key) == value for key, value in asked)]
    return images.filter(pk__in=found)


def alternatives(key: str, value: str) -> list[str]:
    """Return the values of which one will do: several behind `in:` where Glance knows it."""
    if key in LISTABLE and value.startswith("in:"):
        return [one.strip('"') for one in value[3:].split(",")]
    return [value]


def number(key: str, value: str) -> int:
    """Return a whole number. Raises InvalidParameters."""
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise InvalidParameters(detail=f"{key} must be a whole number, not {value!r}")
    return int(value)


def flag(key: str, value: str) -> bool:
    """Return whether the value says true. Raises InvalidParameters."""
    if value.lower() not in FLAGS:
        raise InvalidParameters(detail=f"{key} must be true or false, not {value!r}")
    return FLAGS[value.lower()]


def at(field: str, key: str, value: str) -> Q:
    """Return the condition on a time; it is compared as clients see it, in whole seconds. Raises InvalidParameters."""
    word, colon, rest = value.partition(":")
    comparison, text = (
        (word, rest) if colon and word in {"gt", "gte", "lt", "lte", "eq", "neq"} else ("eq", value)
    )
    start = second(key, text)
    begun, over = Q(**{f"{field}__gte": start}), Q(**{f"{field}__gte": start + timedelta(seconds=1)})
    return {
        "gt": over,
        "gte": begun,
        "lt": ~begun,
        "lte": ~over,
        "eq": begun & ~over,
        "neq": ~begun | over,
    }[comparison]


def second(key: str, text: str) -> datetime:
    """Return the beginning of the second that is named. Raises InvalidParameters."""
    try:
        moment = parse_datetime(text.replace(" ", "+"))  # a plus sign that was not encoded
        if moment is None:
            raise ValueError
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        return moment.replace(microsecond=0) + timedelta(seconds=1) - timedelta(seconds=1)
    except (ValueError, OverflowError) as error:
        raise InvalidParameters(detail=f"{key} must be a time in ISO 8601, not {text!r}") from error
