"""One of many by itself: what is raised for it is told, and keeps no other from its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from servers.outage import is_outage

log = structlog.get_logger(__name__)

T = TypeVar("T")

OF_ONE_TRANSACTION = ("40", "55")
"""Classes of SQLSTATE after which the next transaction may be well: a deadlock, a row that somebody has locked."""


def apart(work: Callable[[], T], event: str, **facts: object) -> T | Exception:
    """Return what `work` returns, or the error that it raised, which is then in the log with its traceback.

    Raises the error where the database is away: that is nothing about this one, and the others would fare no better.
    """
    try:
        return work()
    except Exception as error:
        if is_away(error):
            raise
        log.error(event, exc_info=error, **facts)
        return error


def is_away(error: Exception) -> bool:
    """Return whether the error says that the database can do nothing at all now."""
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    return is_outage(error) and not sqlstate.startswith(OF_ONE_TRANSACTION)


def words(error: Exception) -> str:
    """Return an error in one line: what it says, or its kind where it says nothing."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__
