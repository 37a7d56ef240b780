"""Counting what each transaction writes: no clock is looked at, a row is a row on every machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

WRITES = ("INSERT", "UPDATE", "DELETE")
WRITING_FUNCTION = "procrastinate_defer_jobs"
"""The function of PostgreSQL by which Procrastinate writes an entry; a row of its result is a row written."""


def is_write(sql: str) -> bool:
    """Return whether a statement changes rows, also one before which PostgreSQL is told who acts."""
    return re.sub(r"^/\*.*?\*/", "", sql).lstrip().upper().startswith(WRITES)


@dataclass
class Transactions:
    """How many rows each transaction has written that came to its end."""

    rows: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)

    @property
    def largest(self) -> int:
        return max(self.rows, default=0)

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if is_write(sql) or WRITING_FUNCTION in sql:
            self.count(max(context["cursor"].rowcount, sql.count("), (") + 1 if "VALUES" in sql else 0))
        return result

    def count(self, rows: int) -> None:
        """Add the rows to the transaction that is open; a statement by itself is one of its own."""
        if not connection.in_atomic_block:
            self.rows.append(rows)
            return
        if not self.open:
            transaction.on_commit(self.end)
        self.open.append(rows)

    def end(self) -> None:
        self.rows.append(sum(self.open))
        self.open.clear()


@contextmanager
def counted() -> Iterator[Transactions]:
    """Return what is counted inside the block. It needs a test whose transactions really end."""
    transactions = Transactions()
    with connection.execute_wrapper(transactions):
        yield transactions
    assert not transactions.open, "a transaction was left open"
