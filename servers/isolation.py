"""One piece of work among many: its error is logged, and the other pieces of work go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from servers.outage import is_outage

log = structlog.get_logger(__name__)

T = TypeVar("T")

OF_ONE_TRANSACTION = ("40", "55")
"""Classes of SQLSTATE that fail one transaction only: 40 (deadlock), 55 (a row is locked elsewhere)."""


def apart(work: Callable[[], T], event: str, **facts: object) -> T | Exception:
    """Return what `work` returns, or the error that it raised, after logging the error with its traceback.

    `event` names the log line, `facts` are added to it. Raises the error itself when `is_away` says that the
    database is unavailable: the other pieces of work would fail as well. Nothing is rolled back here: a
    `work` that writes in the caller's transaction has to open a savepoint of its own (transaction.atomic).
    """
    try:
        return work()
    except Exception as error:
        if is_away(error):
            raise
        log.error(event, exc_info=error, **facts)
        return error


def is_away(error: Exception) -> bool:
    """Return whether the error says that the database is unavailable for every other transaction as well."""
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    return is_outage(error) and not sqlstate.startswith(OF_ONE_TRANSACTION)


def words(error: Exception) -> str:
    """Return the first line of the error's message, or the name of its class when the message is empty."""
    said = str(error).strip().splitlines()
    return said[0] if said else type(error).__name__
