"""What time it is, and how to wait: one clock for the engine and the simulated fleet, so that tests can turn it.

Leases, due times, heartbeats and windows are compared between machines, so `now` is the time of the database that
all of them share: how far it is from this machine's own counter is measured at each new connection. Where the
database has no clock of its own (SQLite), it is the machine's, and a step of it is noticed. What one process waits
for itself goes by `monotonic`, which no step moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

STEP_S = 1.0
"""A difference between wall clock and counter that is no drift."""

_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux counts the time that a machine was suspended in its boot time alone."""


class Clock:
    """The database's time once it was measured, the machine's own until then."""

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._wall_offset_s: float | None = None
        self._stepped_at: float | None = None

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        if self._offset_s is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self.monotonic() + self._offset_s, UTC)

    def monotonic(self) -> float:
        """Return seconds since some moment; they go on whatever is done to the time of day."""
        return time.clock_gettime(_COUNTER)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Go by the clock that `ask` reads, which it read at some moment between the question and its answer.

        What agrees with that already stays as it is: other threads compare what they read before with what they read
        now, so the time must not jump to and fro by as much as questions take.
        """
        before = self.monotonic()
        answer = ask().timestamp()
        least, most = answer - self.monotonic(), answer - before
        self._offset_s = min(
            max((least + most) / 2 if self._offset_s is None else self._offset_s, least), most
        )

    def stepped_within(self, seconds: float) -> bool:
        """Return whether the time of day was set, by more than drift, in the last so many seconds.

        It is noticed when it is asked: ask about once a second. A clock that goes by the database takes no steps.
        """
        if self._offset_s is not None:
            return False
        offset = datetime.now(UTC).timestamp() - self.monotonic()
        if self._wall_offset_s is not None and abs(offset - self._wall_offset_s) > STEP_S:
            self._stepped_at = self.monotonic()
        self._wall_offset_s = offset
        return self._stepped_at is not None and self.monotonic() - self._stepped_at < seconds


class VirtualClock(Clock):
    """A clock that stands still until somebody sleeps; `on_sleep` may do what happens meanwhile."""

    def __init__(self, start: datetime | None = None, on_sleep: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.time = start or datetime.now(UTC)
        self.counter_s = 0.0
        self.on_sleep = on_sleep

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.counter_s

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.counter_s += seconds
        if self.on_sleep is not None:
            self.on_sleep()

    def step(self, seconds: float) -> None:
        """Set the time of day forward, or back; nobody has waited meanwhile."""
        self.time += timedelta(seconds=seconds)
        self._stepped_at = self.counter_s

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Go on as it is: virtual time is the time of everything."""

    def stepped_within(self, seconds: float) -> bool:
        return self._stepped_at is not None and self.counter_s - self._stepped_at < seconds


_clock: list[Clock] = [Clock()]


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return _clock[-1].now()


def monotonic() -> float:
    """Return seconds since some moment, to tell how long something takes."""
    return _clock[-1].monotonic()


def sleep(seconds: float) -> None:
    """Wait, by the clock in use."""
    _clock[-1].sleep(seconds)


def measure(ask: Callable[[], datetime]) -> None:
    """Let the clock in use go by the clock that `ask` reads."""
    _clock[-1].measure(ask)


def stepped_within(seconds: float) -> bool:
    """Return whether the time of day was set in the last so many seconds."""
    return _clock[-1].stepped_within(seconds)


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Let `clock` be the time inside the block."""
    _clock.append(clock)
    try:
        yield clock
    finally:
        _clock.pop()
