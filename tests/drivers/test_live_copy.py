"""The copy of memory in rounds: what it comes to, and how it looks on the way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.drivers.simulated.copying import Outcome
from servers.drivers.simulated.live_copy import HANDOVER_S, MAX_DOWNTIME_S, LiveCopy

MIB = 1024**2
QUIET = LiveCopy(
    started_at=1000, memory_bytes=1024 * MIB, disk_bytes=0, bytes_s=100 * MIB, dirty_bytes_s=10 * MIB
)
BUSY = replace(QUIET, dirty_bytes_s=150 * MIB)
DAY_S = 86_400


def test_a_quiet_guest_converges_in_rounds() -> None:
    rounds = [QUIET.progress(at).iteration for at in (1000, 1010, 1010.5, 1011.3)]
    assert rounds == [1, 1, 2, 3]
    assert QUIET.fate.outcome is Outcome.DONE
    assert QUIET.fate.ended_at == pytest.approx(1000 + 10.24 + 1.024 + 0.1024 + HANDOVER_S)


def test_the_pause_is_as_long_as_the_rest_takes() -> None:
    assert QUIET.fate.switched_at - QUIET.fate.paused_at == pytest.approx(0.1024 + HANDOVER_S)


def test_disks_go_in_the_first_round() -> None:
    copy = replace(QUIET, disk_bytes=500 * MIB)
    assert copy.progress(1004).disk_processed_bytes == 400 * MIB
    assert copy.progress(1004).memory_processed_bytes == 0
    assert copy.progress(1006).memory_processed_bytes == 100 * MIB
    assert copy.fate.ended_at == pytest.approx(QUIET.fate.ended_at + 5)


def test_a_guest_that_writes_faster_than_the_network_never_converges() -> None:
    assert BUSY.fate.outcome is Outcome.RUNNING
    assert BUSY.fate.ended_at == inf
    assert BUSY.progress(1000 + DAY_S).iteration == pytest.approx(DAY_S / 10.24, abs=2)


def test_a_guest_that_writes_just_as_fast_never_converges() -> None:
    assert replace(BUSY, dirty_bytes_s=BUSY.bytes_s).fate.ended_at == inf


def test_a_guest_so_small_that_it_fits_the_pause_converges_however_busy() -> None:
    assert replace(BUSY, memory_bytes=20 * MIB).fate.outcome is Outcome.DONE


def test_auto_converge_throttles_the_guest_step_by_step_until_it_converges() -> None:
    copy = replace(BUSY, auto_converge=True)
    seen = {copy.progress(1000 + s).throttle_percent for s in range(0, 300)}
    assert seen >= {0, 20, 30, 40}
    assert copy.fate.outcome is Outcome.DONE


def test_a_throttled_guest_dirties_less() -> None:
    copy = replace(BUSY, auto_converge=True)
    late = copy.progress(copy.fate.paused_at - 0.01)
    assert late.dirty_rate_bytes_s == BUSY.dirty_bytes_s * (100 - late.throttle_percent) / 100


def test_forcing_pauses_the_guest_for_all_that_is_left() -> None:
    copy = replace(BUSY, forced_at=1005)
    left = BUSY.progress(1005).memory_remaining_bytes
    assert copy.fate.paused_at == 1005
    assert copy.fate.ended_at == copy.fate.switched_at
    assert copy.fate.ended_at == pytest.approx(1005 + left / copy.bytes_s + HANDOVER_S)


def test_post_copy_switches_at_once_and_sends_the_rest_afterwards() -> None:
    copy = replace(BUSY, forced_at=1005, post_copy=True)
    assert copy.fate.switched_at == pytest.approx(1005 + HANDOVER_S)
    assert copy.fate.ended_at > copy.fate.switched_at + 5


def test_post_copy_is_not_used_unless_it_is_forced() -> None:
    assert replace(BUSY, post_copy=True).fate.ended_at == inf


def test_an_overdue_copy_is_aborted() -> None:
    fate = replace(BUSY, timeout_s=30).fate
    assert (fate.outcome, fate.ended_at) == (Outcome.ABORTED, 1030)


def test_an_overdue_copy_is_forced() -> None:
    fate = replace(BUSY, timeout_s=30, timeout_action="force_complete").fate
    assert (fate.outcome, fate.paused_at) == (Outcome.DONE, 1030)


def test_a_copy_that_ends_in_time_is_not_touched_by_its_limit() -> None:
    assert replace(QUIET, timeout_s=30).fate == QUIET.fate


def test_a_held_copy_knows_no_limit_and_no_throttle() -> None:
    held = replace(QUIET, held_until=("abort",), timeout_s=30, auto_converge=True)
    assert held.fate.ended_at == inf
    assert held.progress(1000 + DAY_S).throttle_percent == 0


def test_a_held_copy_does_not_end_because_the_guest_is_small() -> None:
    assert replace(QUIET, memory_bytes=MIB, held_until=("abort",)).fate.ended_at == inf


def test_nothing_remains_of_a_finished_copy() -> None:
    end = replace(QUIET, disk_bytes=MIB).progress(5000)
    assert (end.memory_remaining_bytes, end.disk_remaining_bytes, end.rate_bytes_s) == (0, 0, 0)


copies = st.builds(
    LiveCopy,
    started_at=st.just(1000.0),
    memory_bytes=st.integers(MIB, 64 * 1024 * MIB),
    disk_bytes=st.integers(0, 64 * 1024 * MIB),
    bytes_s=st.integers(MIB, 10_000 * MIB),
    dirty_bytes_s=st.integers(0, 10_000 * MIB),
    auto_converge=st.booleans(),
    post_copy=st.booleans(),
    timeout_s=st.integers(0, 3000),
    timeout_action=st.sampled_from(["abort", "force_complete"]),
    held_until=st.sampled_from([(), ("abort", "force_complete")]),
    forced_at=st.none() | st.floats(1000, 5000),
    aborted_at=st.none() | st.floats(1000, 5000),
)


@settings(max_examples=150, deadline=None)
@given(copy=copies, times=st.lists(st.floats(1000, 10_000), min_size=2, max_size=12))
def test_bytes_and_rounds_never_go_backwards(copy: LiveCopy, times: list[float]) -> None:
    seen = [copy.progress(at) for at in sorted(times)]
    for before, after in pairwise(seen):
        assert after.memory_processed_bytes >= before.memory_processed_bytes - 1
        assert after.disk_processed_bytes >= before.disk_processed_bytes - 1
        assert after.iteration >= before.iteration


@settings(max_examples=150, deadline=None)
@given(copy=copies, at=st.floats(1000, 10_000))
def test_what_remains_is_never_negative_nor_more_than_there_is(copy: LiveCopy, at: float) -> None:
    seen = copy.progress(at)
    assert 0 <= seen.memory_remaining_bytes <= copy.memory_bytes
    assert 0 <= seen.disk_remaining_bytes <= copy.disk_bytes


@settings(max_examples=150, deadline=None)
@given(copy=copies)
def test_a_copy_that_arrives_pauses_before_it_switches_and_switches_before_it_ends(copy: LiveCopy) -> None:
    fate = copy.fate
    if fate.outcome is Outcome.DONE:
        assert copy.started_at <= fate.paused_at < fate.switched_at <= fate.ended_at < inf
    else:
        assert fate.switched_at == inf


@settings(max_examples=150, deadline=None)
@given(copy=copies)
def test_a_copy_that_nobody_forces_pauses_the_guest_for_no_longer_than_allowed(copy: LiveCopy) -> None:
    fate = replace(copy, forced_at=None, aborted_at=None, timeout_s=0).fate
    if fate.outcome is Outcome.DONE:
        assert fate.switched_at - fate.paused_at <= MAX_DOWNTIME_S + 0.001
