"""The trail is read, newest first, by the same question at REST, in the console and as JSON lines.

A page costs about the same however long the trail is. It is found in the index of one thing that is asked for; where
more is asked, at most EXAMINED records behind that index are looked through for one page, and the next page goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import F, Model, QuerySet, Value
from django.db.models.functions import Coalesce

from servers import clock
from servers.audit.chain import facts
from servers.audit.watched import WATCHED
from servers.models import AuditLink, AuditRecord

RULE = "gantry:audit:list"
"""The policy rule of who reads the trail."""
EXAMINED = 20_000
"""How many records are looked through for one page, where an index alone does not find what is asked for."""
AT_ONCE = 500
"""How many records an export holds in memory."""
INDEXED = ("request_id", "object_id", "who")
"""Columns with an index, that of the fewest records first. Each index is written with every change, so there are few."""
COLUMNS = (*INDEXED, "object_name", "project_id", "object_type", "door", "verb")

HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
"""Of an id, which records have without."""


@dataclass(frozen=True)
class Wanted:
    """What of the trail is asked for; what is empty is not asked.

    `object_id` may have hyphens. `name_part` is a part of the object's name, in capital letters or not. Both times belong
    to the period.
    """

    request_id: str = ""
    object_id: str = ""
    object_name: str = ""
    who: str = ""
    project_id: str = ""
    object_type: str = ""
    door: str = ""
    verb: str = ""
    name_part: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Return the values of columns that are asked for, those with an index first."""
        given = {name: str(getattr(self, name)) for name in COLUMNS if getattr(self, name)}
        return {n: HYPHEN.sub("", value) if n == "object_id" else value for n, value in given.items()}

    @property
    def by_index(self) -> QuerySet[AuditRecord]:
        """Return the records that one index finds: in the period, and of the first column that is asked for."""
        rows = AuditRecord.objects.order_by("-at", "-id")
        if self.since is not None:
            rows = rows.filter(at__gte=self.since)
        if self.until is not None:
            rows = rows.filter(at__lte=self.until)
        return rows.filter(**{self.indexed: self.columns[self.indexed]}) if self.indexed else rows

    @property
    def indexed(self) -> str:
        """Return the column whose index finds the fewest records, nothing where none is asked for."""
        return next((name for name in self.columns if name in INDEXED), "")

    @property
    def others(self) -> dict[str, str]:
        """Return the columns that are asked for besides."""
        return {name: value for name, value in self.columns.items() if name != self.indexed}

    @property
    def is_found_by_index(self) -> bool:
        """Return whether one index finds all of it."""
        return not self.others and not self.name_part

    def among(self, rows: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        """Return those of the rows that one index has found which are as asked for; no other index is used for that."""
        columns = {f"its_{name}": Coalesce(F(name), Value("")) for name in self.others}
        found = rows.alias(**columns).filter(**{f"its_{name}": value for name, value in self.others.items()})
        return found.filter(object_name__icontains=self.name_part) if self.name_part else found

    def as_query(self) -> dict[str, str]:
        """Return what is asked for as the query of an address."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in values.items()
            if value
        }


@dataclass(frozen=True)
class Page:
    """Records, newest first. The next page comes after the record with the number `marker`; None: there is none."""

    records: list[AuditRecord]
    marker: int | None


def page(wanted: Wanted, limit: int, marker: AuditRecord | None = None) -> Page:
    """Return at most `limit` records (1 or more), those that are older than `marker`.

    There may be fewer, or none, and a next page all the same.
    """
    rows = wanted.by_index
    if marker is not None:
        rows = rows.filter(at__lte=marker.at).exclude(at=marker.at, id__gte=marker.pk)
    furthest = None
    if not wanted.is_found_by_index:
        furthest = next(iter(rows.only("at")[EXAMINED - 1 : EXAMINED]), None)
        if furthest is not None:
            rows = rows.filter(at__gte=furthest.at).exclude(at=furthest.at, id__lt=furthest.pk)
        rows = wanted.among(rows)
    found = list(rows[: limit + 1])
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].pk)
    return Page(found, furthest.pk if furthest is not None else None)


def find(text: str) -> AuditRecord | None:
    """Return the record with a number, None where there is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    return AuditRecord.objects.filter(pk=int(text)).first()


def searched(text: str) -> dict[str, str]:
    """Return the values of `Wanted` that a word asks for: a request's id, an object's id, or a part of its name."""
    for name, value in (("request_id", text), ("object_id", HYPHEN.sub("", text))):
        if AuditRecord.objects.filter(**{name: value}).order_by().exists():
            return {name: value}
    return {"name_part": text}


# ------------------------------------------------------------------------------------------ as JSON


def as_data(records: Iterable[AuditRecord]) -> list[dict[str, Any]]:
    """Return records as JSON data, each with its number and digest in the chain, null until it is chained.

    What else there is of a record is what its digest is made of (`servers.audit.chain`).
    """
    rows = list(records)
    links = {
        link.record_id: link for link in AuditLink.objects.filter(record_id__in=[row.pk for row in rows])
    }
    return [_data(row, links.get(row.pk)) for row in rows]


def _data(record: AuditRecord, link: AuditLink | None) -> dict[str, Any]:
    return {
        **facts(record),
        "number": link.number if link is not None else None,
        "digest": link.digest if link is not None else None,
    }


def lines(wanted: Wanted) -> Iterator[str]:
    """Return all that is asked for as JSON lines, oldest first, as far as it is written now."""
    rows = wanted.among(wanted.by_index).filter(at__lte=clock.now()).order_by("at", "id")
    last: AuditRecord | None = None
    while True:
        left = rows if last is None else rows.filter(at__gte=last.at).exclude(at=last.at, id__lte=last.pk)
        records = list(left[:AT_ONCE])
        yield from (json.dumps(data, ensure_ascii=False) + "\n" for data in as_data(records))
        if len(records) < AT_ONCE:
            return
        last = records[-1]


# ------------------------------------------------------------------------------------- of one object

KINDS: dict[type[Model], str] = {each.model: each.kind for each in WATCHED if not each.object_type}
"""The word by which records name the objects of a table."""
MODELS: dict[str, type[Model]] = {kind: model for model, kind in KINDS.items()}
_COLUMNS = {each.model: each.object_id for each in WATCHED if not each.object_type}


def of(row: Model) -> Wanted:
    """Return the question for all records about a row. Raises KeyError for one of a table that is not watched."""
    column = _COLUMNS[type(row)]
    return Wanted(object_type=KINDS[type(row)], object_id=str(getattr(row, column) if column else row.pk))


# ----------------------------------------------------------------------------- names of what is referred to


def _references() -> Iterator[tuple[tuple[str, str], type[Model]]]:
    by_id = {"user_id": "user", "project_id": "project"}
    for watched in WATCHED:
        for field in watched.columns:
            model = field.related_model if field.is_relation else MODELS.get(by_id.get(field.name, ""))
            if isinstance(model, type) and any(f.name == "name" for f in model._meta.concrete_fields):
                yield (watched.kind, field.name), model


REFERENCES = dict(_references())
"""The table whose row a column of `before` and `after` names by its id, by the kind of object and the column."""


class Names:
    """The names of rows that records refer to, as far as there are the rows: one query a table, however many records."""

    def __init__(self, records: Iterable[AuditRecord]) -> None:
        wanted: dict[type[Model], set[str]] = {}
        for record in records:
            for name, value in {*_pairs(record.before), *_pairs(record.after)}:
                model = REFERENCES.get((record.object_type, name))
                if model is not None:
                    wanted.setdefault(model, set()).add(value)
            if record.project_id:
                wanted.setdefault(MODELS["project"], set()).add(record.project_id)
        self._names = {model: _names(model, keys) for model, keys in wanted.items()}

    def of(self, record: AuditRecord, column: str, value: Any) -> str | None:
        """Return the name of the row that a value of a column refers to, None where it is not known."""
        model = REFERENCES.get((record.object_type, column))
        return self._names.get(model, {}).get(_key(value)) if model is not None else None

    def of_project(self, project_id: str) -> str:
        """Return the project's name, its id where there is none."""
        return self._names.get(MODELS["project"], {}).get(_key(project_id), project_id)


def _pairs(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, str(value)) for name, value in values.items() if isinstance(value, str | int) and value)


def _key(value: Any) -> str:
    return HYPHEN.sub("", str(value))


def _names(model: type[Model], keys: set[str]) -> dict[str, str]:
    fits = {key for key in keys if _could_be(model, key)}
    rows = model._default_manager.filter(pk__in=fits).values_list("pk", "name")
    return {_key(pk): str(name) for pk, name in rows}


def _could_be(model: type[Model], key: str) -> bool:
    try:
        model._meta.pk.clean(key, None)
    except ValidationError:
        return False
    return True
