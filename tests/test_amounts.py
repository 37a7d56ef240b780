"""What people are told of sizes and lengths of time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from servers.amounts import duration, size


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (300 * 1024**2, "300 MiB"), (None, "–")],
)
def test_sizes_are_binary(count: int | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (42, "42 s"), (90, "1 min 30 s"), (7200, "2 h"), (90000, "1 d 1 h")]
)
def test_lengths_of_time_have_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
