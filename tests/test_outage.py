"""Which errors of the database are an outage, and which are somebody's mistake."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
)

from servers.outage import drop_connections, is_outage
from tests.blocked import OUTAGES, of_sqlite


def of_postgresql(kind: type[Error], sqlstate: str) -> Error:
    """Return an error with a cause that has this code, as psycopg's have."""
    error = kind("as PostgreSQL says it")
    error.__cause__ = type("Cause", (Exception,), {"sqlstate": sqlstate})()
    return error


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_what_passes_when_the_database_is_there_is_an_outage(error: Error) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY])
def test_sqlite_that_is_locked_full_or_read_only_is_an_outage(code: int) -> None:
    assert is_outage(of_sqlite(code, "as SQLite says it"))


@pytest.mark.parametrize(
    ("kind", "sqlstate"),
    [
        (OperationalError, "57P01"),
        (OperationalError, "55P03"),
        (InternalError, "25006"),
        (InternalError, "25P03"),
    ],
)
def test_postgresql_that_ends_locks_or_has_become_a_standby_is_an_outage(
    kind: type[Error], sqlstate: str
) -> None:
    assert is_outage(of_postgresql(kind, sqlstate))


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError(),
        DataError(),
        ProgrammingError(),
        NotSupportedError(),
        InternalError(),
        of_sqlite(sqlite3.SQLITE_ERROR, "no such column: nobody"),
        of_postgresql(OperationalError, "54001"),
        of_postgresql(InternalError, "25P02"),
        ValueError(),
        None,
    ],
    ids=repr,
)
def test_a_mistake_is_no_outage(error: Exception | None) -> None:
    assert not is_outage(error)


@pytest.mark.django_db
def test_a_real_mistake_in_a_statement_is_no_outage() -> None:
    with pytest.raises((OperationalError, ProgrammingError)) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT nobody FROM nowhere")
    assert not is_outage(caught.value)
    connection.needs_rollback = False


def test_a_connection_that_cannot_even_be_closed_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OperationalError("the connection is lost")

    held = SimpleNamespace(in_atomic_block=False, close=broken)
    monkeypatch.setattr("servers.outage.connections", SimpleNamespace(all=lambda initialized_only: [held]))
    drop_connections()
