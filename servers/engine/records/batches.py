"""Many rows in small batches: a long transaction would keep workers from renewing their leases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet

T = TypeVar("T")

ROWS_AT_ONCE = 500
"""How many small rows one batch has."""


def in_batches(items: Sequence[T], size: int | None = None) -> Iterator[list[T]]:
    """Yield the items in order, in lists of at most `size`; None is ROWS_AT_ONCE."""
    rest = iter(items)
    while batch := list(islice(rest, size or ROWS_AT_ONCE)):
        yield batch


def forget(
    rows: QuerySet[Any], delete: Callable[[list[Any]], object] | None = None, *, at_most: int | None = None
) -> int:
    """Delete rows in batches of ROWS_AT_ONCE, by primary key; return how many were found.

    Each batch is one DELETE that loads no row and cascades to none. Rows may refer to those of a batch: then
    `delete` gets the batch's primary keys and deletes both. Stops after the batch that reaches `at_most`.
    Opens no transaction; the caller must not have one open either, or all batches are in it.
    """
    gone, last = 0, None
    in_order = rows.order_by("pk").values_list("pk", flat=True)
    while at_most is None or gone < at_most:
        after = in_order if last is None else in_order.filter(pk__gt=last)
        keys = list(after[:ROWS_AT_ONCE])
        if not keys:
            break
        (delete or _delete_of(rows))(keys)
        gone, last = gone + len(keys), keys[-1]
    return gone


def _delete_of(rows: QuerySet[Any]) -> Callable[[list[Any]], int]:
    plain = rows.model._base_manager.using(rows.db)
    return lambda keys: plain.filter(pk__in=keys)._raw_delete(plain.db)
