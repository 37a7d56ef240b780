"""How many requests of this process wait at a time for somebody else: a host, the site's Keystone, its Glance.

Whoever waits holds a thread. The web server has so many more of them that as many requests as ever find one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from servers.errors import TooManyWaiting


class Places:
    """Places to wait in: any number, until `limit` says how many. A thread needs one, however often it asks."""

    def __init__(self) -> None:
        self._free: threading.Semaphore | None = None
        self._mine = threading.local()

    def limit(self, number: int | None) -> None:
        """Let `number` threads wait at a time from now on, None for any number; to be called before any does."""
        self._free = threading.Semaphore(number) if number is not None else None

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
        self._mine.held = self._held + 1
        try:
            yield True
        finally:
            self._mine.held = self._held - 1
            if free is not None:
                free.release()

    @property
    def _held(self) -> int:
        return getattr(self._mine, "held", 0)


PLACES = Places()
"""Those of this process. Only a web server limits them: whoever works by itself may wait."""
