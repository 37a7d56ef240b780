"""So many lines of a kind in a minute and no more, whatever strangers do; the others are counted, and the count is said."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

PERIOD_S = 60.0


class LineLimit:
    """A limit of lines in PERIOD_S, for each kind of which there are not many. One for all threads of a process."""

    def __init__(self, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.now = limit, now
        self.lock = threading.Lock()
        self.ends_at = now() + PERIOD_S
        self.seen: Counter[str] = Counter()

    def allows(self, kind: str) -> bool:
        """Count a line, and return whether it may be written."""
        with self.lock:
            self.seen[kind] += 1
            return self.seen[kind] <= self.limit

    def left_out(self) -> dict[str, int]:
        """Return how many lines of each kind were not written in the period that is over, {} unless one has just ended."""
        if self.now() < self.ends_at:
            return {}
        with self.lock:
            if self.now() < self.ends_at:
                return {}
            seen, self.seen = self.seen, Counter()
            self.ends_at = self.now() + PERIOD_S
        return {kind: number - self.limit for kind, number in seen.items() if number > self.limit}
