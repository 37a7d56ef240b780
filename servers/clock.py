"""The time and the waiting of the engine and of the simulated fleet; tests replace both.

Leases, due times, heartbeats and confirm windows are compared between machines, so `now` is the time of the
database that the machines share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

STEP_S = 1.0
"""A larger change, in seconds, of the difference between time of day and counter is a step, not drift."""

_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux CLOCK_BOOTTIME also counts the time while the machine was suspended; CLOCK_MONOTONIC does not."""


class Clock:
    """The database's time once `measure` was called; before that, and on SQLite, the machine's own time.

    `now` is this machine's counter plus the offset that was measured at the last new connection. What one
    process waits for itself is counted by `monotonic`, which setting the time of day does not change.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._wall_offset_s: float | None = None
        self._stepped_at: float | None = None

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        if self._offset_s is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self.monotonic() + self._offset_s, UTC)

    def monotonic(self) -> float:
        """Return the machine's counter in seconds; setting the time of day does not change it."""
        return time.clock_gettime(_COUNTER)

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` seconds."""
        time.sleep(seconds)

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Set the offset so that `now` agrees with the aware time that `ask` returns.

        `ask` read that time at some moment between its call and its return. The offset changes only as far as
        it lies outside of these bounds: other threads compare earlier times with later ones, so `now` must
        not jump by the length of a query. Errors of `ask` pass through, and the offset stays.
        """
        before = self.monotonic()
        answer = ask().timestamp()
        least, most = answer - self.monotonic(), answer - before
        self._offset_s = min(
            max((least + most) / 2 if self._offset_s is None else self._offset_s, least), most
        )

    def stepped_within(self, seconds: float) -> bool:
        """Return whether the time of day was set, by more than STEP_S, within the last `seconds` seconds.

        Only a call of this method notices a step: call it about once a second. Always False once the clock
        follows a database.
        """
        if self._offset_s is not None:
            return False
        offset = datetime.now(UTC).timestamp() - self.monotonic()
        if self._wall_offset_s is not None and abs(offset - self._wall_offset_s) > STEP_S:
            self._stepped_at = self.monotonic()
        self._wall_offset_s = offset
        return self._stepped_at is not None and self.monotonic() - self._stepped_at < seconds


class VirtualClock(Clock):
    """A clock for tests: only `sleep` and `step` move it. `on_sleep` is called after each sleep."""

    def __init__(self, start: datetime | None = None, on_sleep: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.time = start or datetime.now(UTC)
        self.counter_s = 0.0
        self.on_sleep = on_sleep

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.time

    def monotonic(self) -> float:
        """Return the seconds that were slept in all."""
        return self.counter_s

    def sleep(self, seconds: float) -> None:
        """Move the virtual time and the counter forward at once, then call `on_sleep`."""
        self.time += timedelta(seconds=seconds)
        self.counter_s += seconds
        if self.on_sleep is not None:
            self.on_sleep()

    def step(self, seconds: float) -> None:
        """Set the time of day forward or back by `seconds`; the counter stays as it is."""
        self.time += timedelta(seconds=seconds)
        self._stepped_at = self.counter_s

    def measure(self, ask: Callable[[], datetime]) -> None:
        """Do nothing: virtual time follows no database."""

    def stepped_within(self, seconds: float) -> bool:
        """Return whether `step` was called within the last `seconds` virtual seconds."""
        return self._stepped_at is not None and self.counter_s - self._stepped_at < seconds


_clock: list[Clock] = [Clock()]


def now() -> datetime:
    """Return the time of the clock in use, aware UTC."""
    return _clock[-1].now()


def monotonic() -> float:
    """Return seconds of the counter of the clock in use, for durations."""
    return _clock[-1].monotonic()


def sleep(seconds: float) -> None:
    """Wait `seconds` seconds by the clock in use."""
    _clock[-1].sleep(seconds)


def measure(ask: Callable[[], datetime]) -> None:
    """Let the clock in use agree with the aware time that `ask` returns; see Clock.measure."""
    _clock[-1].measure(ask)


def stepped_within(seconds: float) -> bool:
    """Return whether the time of day was set within the last `seconds` seconds; see Clock.stepped_within."""
    return _clock[-1].stepped_within(seconds)


@contextmanager
def use(clock: Clock) -> Iterator[Clock]:
    """Make `clock` the clock of all threads of this process inside the block; blocks can be nested."""
    _clock.append(clock)
    try:
        yield clock
    finally:
        _clock.pop()
