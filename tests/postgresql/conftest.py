"""Real workers on a real PostgreSQL; `make postgresql` runs them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.postgresql.workers import Workers
from tests.small_fleet import SmallFleet

REASON = "a PostgreSQL of their own is started by: make postgresql"
LEASE_TTL_S = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "CLUSTER" not in os.environ and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture
def shared_database(transactional_db: None) -> str:
    """Return the name of an empty database that other processes see."""
    return str(connection.settings_dict["NAME"])


@pytest.fixture
def fleet(shared_database: str, settings: Any) -> SmallFleet:
    """Return a small fleet in real time, in a database that other processes see."""
    settings.LEASE_TTL_S = LEASE_TTL_S
    settings.SAME_EVERYWHERE = {**settings.SAME_EVERYWHERE, "LEASE_TTL": LEASE_TTL_S}
    return SmallFleet()


@pytest.fixture
def start_workers(fleet: SmallFleet, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    """Return what starts `manage.py work`, as often as it is called."""
    started: list[Workers] = []

    def start(processes: int = 2, module: str | None = None, **settings: str) -> Workers:
        environment = {"DATA_DIR": str(tmp_path), "LEASE_TTL": str(LEASE_TTL_S), "PYTHONUNBUFFERED": "1"}
        log = tmp_path / f"work-{len(started)}.log"
        started.append(Workers(processes, environment | settings, log, module))
        return started[-1]

    yield start
    for workers in started:
        workers.end()
