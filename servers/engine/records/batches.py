"""Many rows, a few at a time: no transaction of ours may be long, since others renew their leases beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet

T = TypeVar("T")

ROWS_AT_ONCE = 500
"""How many rows a transaction deletes or makes where they are small."""


def in_batches(items: Sequence[T], size: int | None = None) -> Iterator[list[T]]:
    """Yield the items, in order, at most `size` at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size or ROWS_AT_ONCE)):
        yield batch


def forget(
    rows: QuerySet[Any], delete: Callable[[list[Any]], object] | None = None, *, at_most: int | None = None
) -> int:
    """Delete rows, a batch by its primary keys in each transaction; return how many that were.

    Nothing is loaded, and nothing that refers to them goes along: `delete` may take the keys and see to that itself.
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
