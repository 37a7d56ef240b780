"""Telling the database who acts, with each statement that changes something.

SQLite calls a function of this process. To PostgreSQL it is said in a comment before the statement, where no value of a
caller can stand: what is said holds for that statement alone, and needs no further round trip.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
    elif connection.vendor == "postgresql" and say not in connection.execute_wrappers:
        connection.execute_wrappers.append(say)


def say(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Put who acts before a statement that changes something: a wrapper of Django's."""
    text = sql if isinstance(sql, str) else sql.as_string(context["connection"].connection)
    if text.lstrip()[:8].upper().startswith(CHANGING):
        return execute(f"{comment()} {text}", params, many, context)
    return execute(sql, params, many, context)


def comment() -> str:
    """Return who acts as a comment of SQL, in letters that end no comment and are no placeholder."""
    facts = json.loads(acting.said())
    if _cuts.get():
        facts["cuts"] = True
    return f"/* acting={base64.b64encode(json.dumps(facts).encode()).decode()} */"
