"""A database that cannot be used, for a while or from some query on, as its driver says it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connection

OUTAGES = {
    "too many": OperationalError("connection failed: FATAL: sorry, too many clients already"),
    "starting": OperationalError("connection failed: FATAL: the database system is starting up"),
    "refused": OperationalError("connection failed: Connection refused"),
    "terminated": OperationalError("terminating connection due to administrator command"),
    "closed": InterfaceError("connection already closed"),
    "locked": OperationalError("database is locked"),
    "full": OperationalError("database or disk is full"),
    "read-only": OperationalError("attempt to write a readonly database"),
}


def of_sqlite(code: int, text: str) -> OperationalError:
    """Return an error of SQLite as Django raises it."""
    cause = sqlite3.OperationalError(text)
    cause.sqlite_errorcode = code
    error = OperationalError(text)
    error.__cause__ = cause
    return error


@dataclass
class Blocked:
    """Lets `after` queries through, and raises `error` at every later one."""

    error: Error
    after: int = 0
    asked: int = 0

    @property
    def met(self) -> bool:
        """Return whether somebody has met the error."""
        return self.asked > self.after

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        self.asked += 1
        if self.met:
            raise self.error
        return execute(sql, params, many, context)


@contextmanager
def blocked(error: Error = OUTAGES["refused"], after: int = 0) -> Iterator[Blocked]:
    """Block the database; the test's own transaction goes on behind the block as if nothing had been."""
    block = Blocked(error, after)
    with connection.execute_wrapper(block):
        yield block
    connection.needs_rollback = False
