"""Whether an error says that the database cannot be used at this moment: away, locked, full, or not to be written."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from django.db import Error, InterfaceError, InternalError, OperationalError, connections

OF_THE_STATEMENT = "54"
"""SQLSTATE's class of statements that are too large or too deep: they would be so tomorrow."""
OF_THE_PLACE = frozenset({"25006", "25P03"})
"""A server that lets nobody write (one that has just become a standby), and a transaction that it gave up."""


def is_outage(error: BaseException | None) -> bool:
    """Return whether the same would pass with a database that is there, has room, and lets itself be written.

    What a statement itself has wrong is none, though both databases have such errors among the operational ones.
    """
    sqlstate = getattr(getattr(error, "__cause__", None), "sqlstate", None) or ""
    if isinstance(error, InternalError):
        return sqlstate in OF_THE_PLACE
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    is_sql = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
    return not is_sql and not sqlstate.startswith(OF_THE_STATEMENT)


def check_connections() -> None:
    """Close those connections of this thread that are broken, or too old: to be called before each piece of work."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def drop_connections() -> None:
    """Close the connections of this thread, so that what comes next makes new ones; broken ones may object."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            with suppress(Error):
                connection.close()
