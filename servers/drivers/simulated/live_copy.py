"""The copy of a running guest's memory in rounds: each sends what the guest wrote during the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from servers.drivers.base import Progress
from servers.drivers.simulated.copying import Fate, Outcome

MAX_DOWNTIME_S = 0.3  # QEMU's downtime-limit
HANDOVER_S = 0.02  # the part of the pause that does not depend on memory
THROTTLE_FIRST, THROTTLE_STEP, THROTTLE_MOST = 20, 10, 99  # QEMU's cpu-throttle-initial, -increment, max
STEADY = 0.999  # a round that gains less than a thousandth gains nothing


@dataclass(frozen=True)
class Round:
    """One pass over the memory that was dirty when it began."""

    number: int
    began_at: float
    memory_bytes: float
    disk_bytes: float
    memory_before: float
    disk_before: float
    throttle_percent: int


@dataclass(frozen=True)
class LiveCopy:
    """How a guest moves. timeout_s=0 means no limit; a held copy ends only by what `held_until` names."""

    started_at: float
    memory_bytes: int
    disk_bytes: int
    bytes_s: int
    dirty_bytes_s: int
    auto_converge: bool = False
    post_copy: bool = False
    timeout_s: int = 0
    timeout_action: str = "abort"
    held_until: tuple[str, ...] = ()
    forced_at: float | None = None
    aborted_at: float | None = None

    @cached_property
    def fate(self) -> Fate:
        """Return what the copy comes to."""
        if self.aborted_at is not None:
            undisturbed = replace(self, aborted_at=None).fate
            paused_at = undisturbed.paused_at if undisturbed.paused_at < self.aborted_at else inf
            return Fate(Outcome.ABORTED, ended_at=self.aborted_at, paused_at=paused_at)
        last = self._walk(inf)
        converges_at = last.began_at if self._fits_pause(last) else inf
        overdue_at = self.started_at + self.timeout_s if self.timeout_s and not self.held_until else inf
        overdue_abort = overdue_at if self.timeout_action == "abort" else inf
        forced_at = min(
            inf if self.forced_at is None else self.forced_at,
            overdue_at if overdue_abort == inf else inf,
        )
        if overdue_abort < min(converges_at, forced_at):
            return Fate(Outcome.ABORTED, ended_at=overdue_abort)
        if forced_at < converges_at:
            return self._forced(forced_at)
        if converges_at == inf:
            return Fate(Outcome.RUNNING)
        end = converges_at + last.memory_bytes / self.bytes_s + HANDOVER_S
        return Fate(Outcome.DONE, ended_at=end, paused_at=converges_at, switched_at=end)

    def _forced(self, at: float) -> Fate:
        """Return what comes of pausing the guest for the rest, or of post-copy: the rest after the switch."""
        rest_s = sum(self._rest(at)) / self.bytes_s
        switched_at = at + HANDOVER_S + (0 if self.post_copy else rest_s)
        ended_at = at + HANDOVER_S + rest_s
        return Fate(Outcome.DONE, ended_at=ended_at, paused_at=at, switched_at=switched_at)

    def progress(self, at: float) -> Progress:
        """Return how far the copy is at that time."""
        fate = self.fate
        at = max(min(at, fate.ended_at), self.started_at)
        in_iterations = min(at, fate.paused_at)
        now = self._walk(in_iterations)
        disk, memory = self._sent(now, in_iterations)
        memory_rest, disk_rest = self._rest(in_iterations)
        since_pause = max(at - fate.paused_at, 0) * self.bytes_s  # nothing is dirtied any more
        disk_late = min(since_pause, disk_rest)
        memory_late = min(since_pause - disk_late, memory_rest)
        over = at >= fate.ended_at
        return Progress(
            memory_total_bytes=self.memory_bytes,
            memory_processed_bytes=round(now.memory_before + memory + memory_late),
            memory_remaining_bytes=round(memory_rest - memory_late),
            disk_total_bytes=self.disk_bytes,
            disk_processed_bytes=round(now.disk_before + disk + disk_late),
            disk_remaining_bytes=round(disk_rest - disk_late),
            iteration=now.number,
            rate_bytes_s=0 if over else self.bytes_s,
            dirty_rate_bytes_s=0 if at >= fate.paused_at else round(self._dirty_bytes_s(now)),
            throttle_percent=now.throttle_percent,
        )

    def _walk(self, until: float) -> Round:
        """Return the round at that time: the last one where the rest fits the pause, or the rounds repeat for ever."""
        now = Round(1, self.started_at, self.memory_bytes, self.disk_bytes, 0, 0, 0)
        while not self._fits_pause(now) and self._ends_at(now) <= until:
            following = self._following(now)
            if self._repeats(now, following) and not self._fits_pause(following):
                return now if until == inf else self._skip(now, until)
            now = following
        return now

    def _following(self, now: Round) -> Round:
        written = min(self.memory_bytes, self._dirty_bytes_s(now) * now.memory_bytes / self.bytes_s)
        throttle = now.throttle_percent
        if self.auto_converge and not self.held_until and written > now.memory_bytes / 2:
            throttle = min(throttle + THROTTLE_STEP, THROTTLE_MOST) if throttle else THROTTLE_FIRST
        return Round(
            number=now.number + 1,
            began_at=self._ends_at(now),
            memory_bytes=written,
            disk_bytes=0,
            memory_before=now.memory_before + now.memory_bytes,
            disk_before=now.disk_before + now.disk_bytes,
            throttle_percent=throttle,
        )

    def _skip(self, now: Round, until: float) -> Round:
        """Return the round at that time where each is like the one before."""
        if now.disk_bytes:
            now = self._following(now)
        length_s = now.memory_bytes / self.bytes_s
        count = max(int((until - now.began_at) / length_s), 0)
        return replace(
            now,
            number=now.number + count,
            began_at=now.began_at + count * length_s,
            memory_before=now.memory_before + count * now.memory_bytes,
        )

    def _repeats(self, now: Round, following: Round) -> bool:
        same_throttle = following.throttle_percent == now.throttle_percent
        return same_throttle and following.memory_bytes >= now.memory_bytes * STEADY

    def _fits_pause(self, now: Round) -> bool:
        fits = now.memory_bytes <= (MAX_DOWNTIME_S - HANDOVER_S) * self.bytes_s
        return now.number > 1 and not self.held_until and fits

    def _ends_at(self, now: Round) -> float:
        return now.began_at + (now.disk_bytes + now.memory_bytes) / self.bytes_s

    def _dirty_bytes_s(self, now: Round) -> float:
        if self.held_until:
            return max(self.dirty_bytes_s, self.bytes_s)
        return self.dirty_bytes_s * (100 - now.throttle_percent) / 100

    def _sent(self, now: Round, at: float) -> tuple[float, float]:
        """Return what the round has sent by then: bytes of disks, which go first, and of memory."""
        sent = max(at - now.began_at, 0) * self.bytes_s
        disk = min(sent, now.disk_bytes)
        return disk, min(sent - disk, now.memory_bytes)

    def _rest(self, at: float) -> tuple[float, float]:
        """Return what is still to be sent at that time: bytes of memory and of disks."""
        now = self._walk(at)
        disk, memory = self._sent(now, at)
        written = self._dirty_bytes_s(now) * memory / self.bytes_s
        return min(self.memory_bytes, now.memory_bytes - memory + written), now.disk_bytes - disk
