"""Suites that are too long for each run of continuous integration are played in shares, another one each time."""

from __future__ import annotations

ALL = "all"
THIRDS = 3


def is_wanted(share: str, number: int) -> bool:
    """Return whether the case of this number is of the share: `all`, `0`, `1` or `2` of three, or say `3/8`."""
    if share == ALL:
        return True
    part, _, parts = share.partition("/")
    return number % int(parts or THIRDS) == int(part)
