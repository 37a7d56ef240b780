"""Pages of a list: what comes after a marker, in any order, without counting what came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import OrderBy

MAX_LIMIT = 1000  # nova.conf [api] max_limit

Row = TypeVar("Row", bound=Model)
Values = dict[str, list[str]]


@dataclass(frozen=True)
class Key:
    """A field to sort by; null is less than any value."""

    field: str
    descending: bool = False

    def expression(self) -> OrderBy:
        """Return what the database sorts by."""
        if self.descending:
            return F(self.field).desc(nulls_last=True)
        return F(self.field).asc(nulls_first=True)

    def value_of(self, row: Model) -> Any:
        """Return the row's value, also through a relation that is null."""
        value: Any = row
        for name in self.field.split("__"):
            value = getattr(value, name) if value is not None else None
        return value

    def equal(self, value: Any) -> Q:
        """Return the condition that a row has this value."""
        return Q(**{f"{self.field}__isnull": True}) if value is None else Q(**{self.field: value})

    def beyond(self, value: Any) -> Q:
        """Return the condition that a row comes later than this value."""
        if value is None:
            return Q(pk__in=[]) if self.descending else Q(**{f"{self.field}__isnull": False})
        if self.descending:
            return Q(**{f"{self.field}__lt": value}) | Q(**{f"{self.field}__isnull": True})
        return Q(**{f"{self.field}__gt": value})


def after(row: Model, keys: Sequence[Key]) -> Q:
    """Return the condition that a row comes after `row`."""
    later, equal = Q(pk__in=[]), Q()
    for key in keys:
        value = key.value_of(row)
        later |= equal & key.beyond(value)
        equal &= key.equal(value)
    return later


def limit_of(values: Values) -> int:
    """Return how many rows the query asks for, at most MAX_LIMIT."""
    text = values.get("limit", [str(MAX_LIMIT)])[-1].lstrip("0") or "0"
    return min(int(text), MAX_LIMIT) if len(text) < 10 else MAX_LIMIT


def page(rows: QuerySet[Row], keys: Sequence[Key], limit: int | None, marker: Model | None) -> list[Row]:
    """Return at most `limit` rows (None: all) in the order of `keys`, those after `marker`. The last key is unique."""
    if marker is not None:
        rows = rows.filter(after(marker, keys))
    return list(rows.order_by(*(key.expression() for key in keys))[:limit])


def is_full(rows: Sequence[Model], limit: int | None) -> bool:
    """Return whether there may be more after these."""
    return bool(rows) and len(rows) == limit
