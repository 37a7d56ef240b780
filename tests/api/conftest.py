"""The ways in by REST, played whole on SQLite, and in shares on PostgreSQL (`make postgresql`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.shares import ALL, is_wanted


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    share = os.environ.get("API_SHARE") or ALL
    ours = [item for item in items if Path(__file__).parent in item.path.parents]
    if later := {item for number, item in enumerate(ours) if not is_wanted(share, number)}:
        config.hook.pytest_deselected(items=list(later))
        items[:] = [item for item in items if item not in later]
