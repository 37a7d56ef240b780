"""Whatever is asked, and whatever breaks, in whatever order: never two, never lost, never stuck.

A life that fails is made shorter and shown as Python: it becomes a test of `test_lives_that_failed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from servers.actions import registry
from tests.engine.invariants import broken
from tests.engine.inventing import invent
from tests.engine.life import Deed, live
from tests.engine.life_events import ASKED

LIVES = settings().max_examples // 2
"""As many as the profile says: 100, or 2,000 with HYPOTHESIS_PROFILE=long; half of them on each kind of storage."""


def outcome(storage: str, deeds: Sequence[Deed]) -> list[str]:
    """Return what is wrong after a life."""
    for life in live(storage, deeds):
        return broken(life)
    return []


def shortened(storage: str, deeds: list[Deed]) -> list[Deed]:
    """Return the life without what it does not take to fail."""
    for left_out in range(len(deeds)):
        shorter = [deed for number, deed in enumerate(deeds) if number != left_out]
        if outcome(storage, shorter):
            return shortened(storage, shorter)
    return deeds


def test_every_action_of_the_registry_is_asked_for() -> None:
    assert set(ASKED) == set(registry)


@pytest.mark.django_db
@pytest.mark.parametrize("storage", ["shared", "local"])
@settings(max_examples=LIVES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=True))
def test_no_guest_runs_twice_none_is_lost_and_nothing_is_stuck(storage: str, random: Random) -> None:
    deeds = invent(random)
    if outcome(storage, deeds):
        shorter = shortened(storage, deeds)
        pytest.fail(f"{storage}: {outcome(storage, shorter)} after {shorter}")
