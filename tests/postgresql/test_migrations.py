"""A database of PostgreSQL is made from nothing, and one that knew no Procrastinate is brought up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.postgresql.workers import environment_of, manage

NAME = "gantry_migrations"


@pytest.fixture
def environment(transactional_db: None, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of processes on an empty database."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {NAME}")
    yield {**environment_of(NAME), "DATA_DIR": str(tmp_path)}
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {NAME} WITH (FORCE)")


def test_migrations_apply_to_an_empty_database(environment: dict[str, str]) -> None:
    done = manage(environment, "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    assert manage(environment, "migrate", "--check").returncode == 0


def test_a_database_without_procrastinate_is_brought_up_to_date(environment: dict[str, str]) -> None:
    before = {**environment, "QUEUE": "database"}
    done = manage(before, "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    assert manage(environment, "migrate", "--check").returncode == 1
    done = manage(environment, "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    assert manage(environment, "migrate", "--check").returncode == 0
    assert manage(before, "migrate", "--check").returncode == 0
