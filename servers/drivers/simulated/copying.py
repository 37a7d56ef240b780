"""A copy as a function of time: what it will come to, and how far it is, from its plan alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from servers.drivers.base import Progress


class Outcome(StrEnum):
    """How a job stands. ABORTED and FAILED: the guest is at the source."""

    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"


@dataclass(frozen=True)
class Fate:
    """What a copy comes to when nobody interferes; infinity stands for never.

    The guest stands still from `paused_at` to `switched_at`, when it goes on at the destination; after
    post-copy the rest follows until `ended_at`.
    """

    outcome: Outcome
    ended_at: float = inf
    paused_at: float = inf
    switched_at: float = inf


@dataclass(frozen=True)
class DiskCopy:
    """A copy of disks that nobody writes to meanwhile: a straight line."""

    started_at: float
    disk_bytes: int
    bytes_s: int

    @property
    def fate(self) -> Fate:
        """Return what the copy comes to."""
        return Fate(Outcome.DONE, ended_at=self.started_at + self.disk_bytes / self.bytes_s)

    def progress(self, at: float) -> Progress:
        """Return how far the copy is at that time."""
        done = min(self.disk_bytes, int(max(at - self.started_at, 0) * self.bytes_s))
        return Progress(
            disk_total_bytes=self.disk_bytes,
            disk_processed_bytes=done,
            disk_remaining_bytes=self.disk_bytes - done,
            rate_bytes_s=self.bytes_s if done < self.disk_bytes else 0,
        )
