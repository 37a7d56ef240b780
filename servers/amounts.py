"""Sizes and lengths of time for people."""

from __future__ import annotations

from datetime import timedelta

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
STEP = 1024


def size(count: float | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if count is None:
        return "–"
    amount, unit = float(count), 0
    while amount >= STEP and unit < len(UNITS) - 1:
        amount, unit = amount / STEP, unit + 1
    return f"{amount:.0f} {UNITS[unit]}" if unit == 0 or amount >= 100 else f"{amount:.1f} {UNITS[unit]}"


def duration(span: timedelta | None) -> str:
    """Return a length of time in at most two units."""
    if span is None:
        return "–"
    seconds = max(span.total_seconds(), 0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for length, name, lower_length, lower in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= length:
            rest = int(seconds % length // lower_length)
            return (
                f"{int(seconds // length)} {name} {rest} {lower}"
                if rest
                else f"{int(seconds // length)} {name}"
            )
    return f"{int(seconds)} s"
