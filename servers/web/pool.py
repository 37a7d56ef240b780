"""The threads that handle requests: no more at work than are needed, and none for long that is not."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

IDLE_S = 60.0
"""How long a thread waits for a request before it ends, and what it keeps open with it."""

log = logging.getLogger(__name__)


class Idle:
    """A thread that waits for a request."""

    def __init__(self) -> None:
        self.task: Any = None
        self.given = threading.Semaphore(0)


class Pool:
    """Waitress' dispatcher: at most `threads` at work, of which the one that was idle shortest gets the next request.

    So as few of them as can be have a connection to the database. One that steps aside does not count meanwhile. `at_end`
    is called in a thread that ends.
    """

    def __init__(self, threads: int, at_end: Callable[[], object] = lambda: None) -> None:
        self._at_end = at_end
        self._left = threads
        """How many more threads may begin; negative when some have come back meanwhile."""
        self._lock = threading.Lock()
        self._tasks: deque[Any] = deque()
        self._idle: list[Idle] = []

    def add_task(self, task: Any) -> None:
        """Let a thread call `task.service`; without a free one it waits for its turn."""
        with self._lock:
            if self._idle:
                idle = self._idle.pop()
                idle.task = task
                idle.given.release()
                return
            self._tasks.append(task)
        self._begin()

    def step_aside(self) -> None:
        """Let another request begin, since the one of this thread waits for somebody else."""
        with self._lock:
            self._left += 1
        self._begin()

    def come_back(self) -> None:
        """Count this thread among those at work again, though there may be more than `threads` for a while."""
        with self._lock:
            self._left -= 1

    def _begin(self) -> None:
        """Start a thread where a request waits for one, and one more may begin."""
        with self._lock:
            if not self._tasks or self._left <= 0:
                return
            self._left -= 1
        try:
            threading.Thread(target=self._work, name="request", daemon=True).start()
        except RuntimeError as error:  # the machine has no more: the request waits for one that is there
            log.error("no thread for a request", exc_info=error)
            with self._lock:
                self._left += 1

    def _work(self) -> None:
        """Serve requests until the thread is to end; whatever ends it, another one may begin then."""
        try:
            while (task := self._next()) is not None:
                try:
                    task.service()
                except Exception as error:
                    log.error("a request was not served", exc_info=error)
        finally:
            with self._lock:
                self._left += 1
            self._begin()
            self._at_end()

    def _next(self) -> Any:
        """Return the next request, or None when the thread is to end."""
        mine = Idle()
        with self._lock:
            if self._left < 0:
                return None
            if self._tasks:
                return self._tasks.popleft()
            self._idle.append(mine)
        if not mine.given.acquire(timeout=IDLE_S):
            with self._lock:
                if mine in self._idle:
                    self._idle.remove(mine)
        return mine.task
