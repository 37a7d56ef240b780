"""Lives that have failed once, as short as they could be made."""

from __future__ import annotations

import pytest

from tests.engine.life_events import Ask, Fail, Fate, Work
from tests.engine.test_lives import outcome

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("storage", ["shared", "local"])]

REFUSES = Fail("revert", None, "refuse", "DriverFault", 8)


def test_room_that_a_failed_revert_still_holds_is_given_back_once_the_old_copy_is_gone(storage: str) -> None:
    deeds = [REFUSES, Ask("migrate", 0, 1), Work(), Ask("revert-resize", 0, 6), Work()]
    assert outcome(storage, deeds) == []


def test_a_late_worker_of_a_cold_move_whose_revert_was_refused_changes_nothing(storage: str) -> None:
    late = Work(2, (Ask("force-complete", 0, 7),), Fate.WAKES_LATE)
    assert outcome(storage, [REFUSES, Ask("migrate"), late]) == []


def test_a_late_worker_of_a_backup_begins_no_copy_that_nobody_ends(storage: str) -> None:
    late = Work(0, (Ask("live-migration", 0, 1),), Fate.WAKES_LATE, calls_only=True)
    assert outcome(storage, [Ask("create-backup", 2, 7), late]) == []
