"""Suites that are too long for each run of continuous integration are played in shares, another one each time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

ALL = "all"
THIRDS = 3


def is_wanted(share: str, number: int) -> bool:
    """Return whether the case of this number is of the share: `all`, `0`, `1` or `2` of three, or say `3/8`."""
    if share == ALL:
        return True
    part, _, parts = share.partition("/")
    return number % int(parts or THIRDS) == int(part)


def keep_share(
    config: pytest.Config, items: list[pytest.Item], of: Sequence[pytest.Item], share: str
) -> None:
    """Take those of some tests out of `items` that are not of the share, and report them as deselected."""
    if later := {item for number, item in enumerate(of) if not is_wanted(share, number)}:
        config.hook.pytest_deselected(items=list(later))
        items[:] = [item for item in items if item not in later]
