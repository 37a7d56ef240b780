"""SQLite keeps whatever it is given; in tests its columns refuse what PostgreSQL's refuse, with the same errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db import DataError, models
from django.db.backends.base.operations import BaseDatabaseOperations

from servers.actions.kinds import NOT_KEPT

RANGES = BaseDatabaseOperations.integer_field_ranges
"""From where to where each kind of whole number goes in a database that has kinds of them."""


def be_strict() -> None:
    """Let what is written into, or compared with, a column on SQLite be refused as PostgreSQL refuses it."""
    for kind in (models.CharField, models.TextField, models.JSONField):
        wrap(kind, "get_db_prep_value", require_text)
    wrap(models.CharField, "get_db_prep_save", require_length)
    wrap(models.IntegerField, "get_db_prep_save", require_range)


def wrap(kind: Any, method: str, check: Callable[[Any, Any], None]) -> None:
    """Let `check` see field and value before the field's own method does."""
    own = getattr(kind, method)

    def checked(field: Any, value: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        if connection.vendor == "sqlite":
            check(field, value)
        return own(field, value, connection, *args, **kwargs)

    setattr(kind, method, checked)


def require_text(field: Any, value: Any) -> None:
    """Raise DataError for a text with NUL, or half of a surrogate pair, in a column or within JSON."""
    if hasattr(value, "as_sql"):
        return
    for text in texts_in(value):
        if NOT_KEPT.search(text):
            raise DataError(f"{field}: NUL, or half of a surrogate pair")


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in a value of JSON, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for part in pair for text in texts_in(part))
    elif isinstance(value, list | tuple):
        yield from (text for part in value for text in texts_in(part))


def require_length(field: Any, value: Any) -> None:
    """Raise DataError for a text that is longer than its column."""
    if isinstance(value, str) and field.max_length is not None and len(value) > field.max_length:
        raise DataError(f"{field}: value too long for type character varying({field.max_length})")


def require_range(field: Any, value: Any) -> None:
    """Raise DataError for a number that is out of its column's range."""
    low, high = RANGES[field.get_internal_type()]
    if isinstance(value, int) and not low <= value <= high:
        raise DataError(f"{field}: {value} is out of range")
