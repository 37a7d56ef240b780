"""Telling the database who acts, with each statement that changes something.

SQLite calls a function of this process. To PostgreSQL it is said in a comment before the statement, where no value of a
caller can stand: what is said holds for that statement alone, and needs no further round trip.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from servers import acting

CHANGING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")

_cuts: ContextVar[bool] = ContextVar("cuts", default=False)


@contextmanager
def may_cut() -> Iterator[None]:
    """Let the block delete of the trail, and change rows unseen: for the archive, and for emptying a database."""
    token = _cuts.set(True)
    try:
        yield
    finally:
        _cuts.reset(token)


def hear(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Let a new connection know who acts. Receiver of `connection_created`."""
    if connection.vendor == "sqlite":
        raw = connection.connection
        raw.create_function("gantry_acting", 0, acting.said)
        raw.create_function("gantry_cuts", 0, lambda: int(_cuts.get()))
        raw.create_function("gantry_watches", 0, lambda: int(not _cuts.get()))
    elif connection.vendor == "postgresql":
        raw = connection.connection
        raw.cursor_factory = saying(raw.cursor_factory)


@cache
def saying(cursor: type[Any]) -> type[Any]:
    """Return a class of cursors like this one of psycopg, which put who acts before what changes something.

    That is below everything of Django's: what Django logs, counts and wraps is the statement as it was made.
    """

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        return cursor.execute(self, said_before(query, self), *args, **options)

    def executemany(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        return cursor.executemany(self, said_before(query, self), *args, **options)

    return type("SayingCursor", (cursor,), {"execute": execute, "executemany": executemany})


def said_before(query: Any, cursor: Any) -> Any:
    """Return a query with who acts before it, if it changes something."""
    text = query if isinstance(query, str) else None
    if text is None and hasattr(query, "as_string"):
        text = query.as_string(cursor)
    if text is None or not text.lstrip()[:8].upper().startswith(CHANGING):
        return query
    return f"{comment()} {text}"


def comment() -> str:
    """Return who acts as a comment of SQL, in letters that end no comment and are no placeholder."""
    said = acting.said(cuts=_cuts.get())
    return f"/* acting={base64.b64encode(said.encode()).decode()} */"
