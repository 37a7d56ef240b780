"""The database's clock, measured at each new connection: with it, machines agree about leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from servers import clock


def measure(sender: Any, connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Let the process's clock follow the database that was just connected to.

    Receiver of Django's connection_created. Does nothing on SQLite, which has only the machine's own clock.
    """
    if connection.vendor == "postgresql":
        clock.measure(lambda: read(connection))


def read(connection: BaseDatabaseWrapper) -> datetime:
    """Return the database's time at this moment, aware; it advances inside a transaction, unlike now()."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (found,) = cursor.fetchone()
    answer: datetime = found
    return answer
