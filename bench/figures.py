"""Figures as they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles


def spread(seconds: Sequence[float]) -> str:
    """Return the median, and the range, of some durations."""
    return f"median {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}, n={len(seconds)})"


def p95(seconds: Sequence[float]) -> float:
    """Return what 95 of 100 stay below."""
    return quantiles(seconds, n=20, method="inclusive")[-1]
