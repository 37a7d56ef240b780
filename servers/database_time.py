"""The database's clock, read at each new connection: machines whose clocks differ agree about leases by it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from servers import clock


def measure(sender: Any, connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Let the clock go by the database that was connected to; SQLite has none but the machine's."""
    if connection.vendor == "postgresql":
        clock.measure(lambda: read(connection))


def read(connection: BaseDatabaseWrapper) -> datetime:
    """Return the database's time at this moment, whatever transaction is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (found,) = cursor.fetchone()
    answer: datetime = found
    return answer
