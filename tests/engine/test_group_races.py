"""Real worker processes on a real database file: of the members that go to one host at one moment, one lands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.group_race import ROOT, hold_races, rounds


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of processes on a database of their own."""
    clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CLUSTER"}}
    environment = {**clean, "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    return environment


def test_of_five_members_that_are_moved_to_one_host_at_once_one_lands_there(
    environment: dict[str, str],
) -> None:
    hold_races(environment, rounds(4))
