"""A question in a thread of its own, which finds the way to its host and then waits for the word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from contextvars import copy_context
from queue import SimpleQueue
from typing import Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")


class OwnThread(Generic[C, T]):
    """A question that is put when whoever has it asked says so, and never after they have left.

    A way to a host can take minutes to open, a word takes none: between the word and the question nothing is waited for.
    The thread is left behind when it is late, and does not keep the process alive.
    """

    def __init__(
        self, name: str, way: Callable[[], AbstractContextManager[C]], question: Callable[[C], T]
    ) -> None:
        self._way, self._question = way, question
        self._reached: Future[None] = Future()
        self._answer: Future[T] = Future()
        self._word: SimpleQueue[bool] = SimpleQueue()
        threading.Thread(target=copy_context().run, args=(self._run,), name=name, daemon=True).start()

    def reach(self, limit_s: float) -> None:
        """Wait for the way to the host. Raises TimeoutError, and what opening it has raised."""
        self._reached.result(limit_s)

    def is_reached(self, limit_s: float) -> bool:
        """Wait for the way to the host; return whether it is open, or will never be."""
        return bool(wait([self._reached], limit_s).done)

    def put(self) -> None:
        """Let the question be put."""
        self._word.put(True)

    def leave(self) -> None:
        """Let the question not be put any more; where it has been, let it go on."""
        self._word.put(False)

    def is_over(self, limit_s: float) -> bool:
        """Wait for the answer; return whether it is there."""
        return bool(wait([self._answer], limit_s).done)

    def answer(self, limit_s: float | None = None) -> T:
        """Return the answer. Raises TimeoutError, and what the question has raised."""
        return self._answer.result(limit_s)

    def _run(self) -> None:
        try:
            with self._way() as place:
                self._reached.set_result(None)
                if self._word.get():
                    self._answer.set_result(self._question(place))
        except BaseException as error:  # noqa: BLE001 - carried to whoever asks for the result
            carried = self._answer if self._reached.done() else self._reached
            if not carried.done():
                carried.set_exception(error)
