"""Of the members of a group that go to one host at one moment one lands there, also where writers do not wait for all."""

from __future__ import annotations

from pathlib import Path

from tests.conductor.group_race import hold_races, rounds
from tests.postgresql.workers import environment_of


def test_of_five_members_that_are_moved_to_one_host_at_once_one_lands_there(
    shared_database: str, tmp_path: Path
) -> None:
    hold_races({**environment_of(shared_database), "DATA_DIR": str(tmp_path)}, rounds(6))
