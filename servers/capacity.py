"""How much of a host may be allocated."""

from __future__ import annotations


def allocatable(total: int, reserved: int, ratio: float) -> int:
    """Return how much of a resource may be allocated in all, in the unit of `total`, cut to a whole number.

    The rule is placement's: (total - reserved) x allocation ratio.
    """
    return int((total - reserved) * ratio)
