"""Two lanes for all hashes of a process: a thread each, and a short queue of logins before it.

A hash is slow so that guessing is. One thread bounds what all hashes of a lane may cost, and the bound of its queue lets no
more threads of the web server wait than are left over. Strangers have a lane of their own, behind everything else that the
machine does: nobody who belongs here waits for theirs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from servers.errors import LoginsBusy
from servers.waiting import PLACES

NICE = 10
"""Of the strangers' thread, above that of the process: on Linux each thread has its own."""

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Lane:
    """Carries out one hash at a time, in a thread that is `nice`; everybody waits for his own."""

    def __init__(self, name: str, nice: int = 0) -> None:
        self.name, self.nice = name, nice
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a thread is not inherited

    def _begin(self) -> None:
        self._thread = ThreadPoolExecutor(1, self.name, initializer=yield_to_others, initargs=(self.nice,))
        self._guard = threading.Lock()
        self._logins = 0

    def run(self, work: Callable[Given, Made], *args: Given.args, **given: Given.kwargs) -> Made:
        """Return what `work` returns in the lane's thread, or raise what it raises. It asks no database there."""
        return self._thread.submit(work, *args, **given).result()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Let what is hashed inside the block be a login of this lane: one is in work, and LOGIN_QUEUE wait.

        Raises LoginsBusy when all places are taken.
        """
        with self._guard:
            if self._logins > settings.LOGIN_QUEUE:
                raise LoginsBusy
            self._logins += 1
        taken = _lane.set(self)
        try:
            with PLACES.aside():
                yield
        finally:
            _lane.reset(taken)
            with self._guard:
                self._logins -= 1


def yield_to_others(nice: int) -> None:
    """Lower the priority of this thread alone, where that can be done."""
    if nice and sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + nice))


KNOWN = Lane("hashing")
"""For addresses that are known, and for whoever has logged in: he waits without a bound, and needs no place."""
STRANGERS = Lane("hashing-for-strangers", NICE)

_lane: ContextVar[Lane] = ContextVar("lane", default=KNOWN)


class InLane:
    """A hasher, beside one of Django's, whose hashes are all made in a lane, whoever asks for one."""

    def encode(self, password: str, *args: object, **given: object) -> str:
        made: str = _lane.get().run(super().encode, password, *args, **given)  # type: ignore[misc]
        return made


class Hasher(InLane, PBKDF2PasswordHasher):
    """Django's default, in the lane: what was hashed before stays as it is."""
