"""One lane for all hashes of a process: a thread of low priority, and two short queues of logins before it.

A hash is slow so that guessing is. One thread bounds what all of them may cost, the priority lets every other request go
first, and the bound lets no more threads of the web server wait than are left over. Who comes from an address that is known
has places of his own, which no stranger can take.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from servers.errors import LoginsBusy

NICE = 5
"""Of the thread, above that of the process: on Linux each thread has its own."""

Given = ParamSpec("Given")
Made = TypeVar("Made")


class Lane:
    """Carries out one hash at a time; everybody waits for his own."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # a thread is not inherited

    def _begin(self) -> None:
        self._thread = ThreadPoolExecutor(1, "hashing", initializer=yield_to_others)
        self._guard = threading.Lock()
        self._logins = Counter[bool]()

    def run(self, work: Callable[Given, Made], *args: Given.args, **given: Given.kwargs) -> Made:
        """Return what `work` returns in the lane's thread, or raise what it raises. It asks no database there."""
        return self._thread.submit(work, *args, **given).result()

    @contextmanager
    def place(self, *, is_known: bool) -> Iterator[None]:
        """Take a place for a login: of known addresses, and of all others, there is one in work and LOGIN_QUEUE that wait.

        Raises LoginsBusy when all are taken.
        """
        with self._guard:
            if self._logins[is_known] > settings.LOGIN_QUEUE:
                raise LoginsBusy
            self._logins[is_known] += 1
        try:
            yield
        finally:
            with self._guard:
                self._logins[is_known] -= 1


def yield_to_others() -> None:
    """Lower the priority of this thread alone, where that can be done."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


LANE = Lane()


class InLane:
    """A hasher, beside one of Django's, whose hashes are all made in the lane, whoever asks for one."""

    def encode(self, password: str, *args: object, **given: object) -> str:
        made: str = LANE.run(super().encode, password, *args, **given)  # type: ignore[misc]
        return made


class Hasher(InLane, PBKDF2PasswordHasher):
    """Django's default, in the lane: what was hashed before stays as it is."""
