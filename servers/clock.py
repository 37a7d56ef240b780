"""What time it is, and how to wait: one clock for the engine and the simulated fleet, so that tests can turn it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class VirtualClock(Clock):
    """A clock that stands still until somebody sleeps; `on_sleep` may do what happens meanwhile."""

    def __init__(self, start: datetime | None = None, on_sleep: Callable[[], None] | None = None) -> None:
        self.time = start or datetime.now(UTC)
        self.on_sleep = on_sleep

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        if self.on_sleep is not None:
            self.on_sleep()


_clock: list[Clock] = [Clock()]


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return _clock[-1].now()


def sleep(seconds: float) -> None:
    """Wait, by the clock in use."""
    _clock[-1].sleep(seconds)


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Let `clock` be the time inside the block."""
    _clock.append(clock)
    try:
        yield clock
    finally:
        _clock.pop()
