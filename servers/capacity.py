"""How much of a host may be allocated."""

from __future__ import annotations


def allocatable(total: int, reserved: int, ratio: float) -> int:
    """Return how much of a resource may be allocated in all, in its unit: placement's (total - reserved) x ratio."""
    return int((total - reserved) * ratio)
