"""How many requests of this process wait at a time for somebody else: a host, the site's Keystone, its Glance, its
sign-on provider.

Whoever waits holds a thread, and steps aside: the web server lets another request begin in his place.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from servers.errors import TooManyWaiting


class Threads(Protocol):
    """The threads of a server, of which so many are at work at a time."""

    def step_aside(self) -> None:
        """Let another request begin: the one of this thread waits."""

    def come_back(self) -> None:
        """Count this thread again among those at work."""


class Places:
    """Places to wait in: any number, until `limit` says how many. A thread needs one, however often it asks."""

    def __init__(self) -> None:
        self._free: threading.Semaphore | None = None
        self._threads: Threads | None = None
        self._mine = threading.local()

    def limit(self, number: int | None, threads: Threads | None = None) -> None:
        """Let `number` of `threads` wait at a time from now on, None for any number; to be called before any does."""
        self._free = threading.Semaphore(number) if number is not None else None
        self._threads = threads

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place during the block. Raises TooManyWaiting where all are taken."""
        with self.place_if_free() as held:
            if not held:
                raise TooManyWaiting
            yield

    @contextmanager
    def place_if_free(self) -> Iterator[bool]:
        """Hold a place during the block if there is one, and say whether there is."""
        free = self._free if not self._held else None
        if free is not None and not free.acquire(blocking=False):
            yield False
            return
        try:
            with self.aside():
                yield True
        finally:
            if free is not None:
                free.release()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let another request begin during the block, without a place: for what has a bound of its own."""
        threads = self._threads if not self._held else None
        self._mine.held = self._held + 1
        if threads is not None:
            threads.step_aside()
        try:
            yield
        finally:
            if threads is not None:
                threads.come_back()
            self._mine.held = self._held - 1

    @property
    def _held(self) -> int:
        return getattr(self._mine, "held", 0)


PLACES = Places()
"""Those of this process. Only a web server limits them: whoever works by itself may wait."""
