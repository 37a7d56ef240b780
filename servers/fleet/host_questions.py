"""Questions to hosts, so many at a time for all who ask: one that hangs takes nobody's turn, and is not asked again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.db import connections

log = structlog.get_logger(__name__)

AT_A_TIME = 20
PATIENCE_S = 1.0
"""A question that takes longer keeps its thread, and no longer counts among those that are asked at a time."""
PER_HOST = 4
"""How many questions on one topic a host is asked at a time."""


@dataclass(eq=False)
class Question:
    """Something to ask one host. `ask` raises nothing."""

    host: str
    topic: str
    ask: Callable[[], None]
    until: float
    """When nobody waits for the answer any more, by the monotonic clock."""
    began: float = 0.0
    answered: threading.Event = field(default_factory=threading.Event)


class Asker:
    """Asks hosts in threads, which end with their question; none of them keeps a connection to the database.

    What is known of a host ends with its last question, so a host that was removed is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._asked: dict[tuple[str, str], list[Question]] = {}

    def put(self, question: Question) -> None:
        """Take a question; the caller then has to `wait`. A host that hangs over an earlier one is not asked."""
        with self._lock:
            if any(time.monotonic() > earlier.until for earlier in self._of_its_kind(question)):
                question.answered.set()
            else:
                self._waiting.append(question)
        self._begin()

    def wait(self, question: Question) -> None:
        """Wait for the answer, as long as the question has time."""
        while not question.answered.wait(min(question.until - time.monotonic(), PATIENCE_S)):
            if time.monotonic() >= question.until:
                return
            self._begin()

    def _of_its_kind(self, question: Question) -> list[Question]:
        return self._asked.get((question.topic, question.host), [])

    def _begin(self) -> None:
        """Ask what may be asked now, and forget what nobody waits for."""
        with self._lock:
            now = time.monotonic()
            young = sum(now - q.began < PATIENCE_S for asked in self._asked.values() for q in asked)
            left: deque[Question] = deque()
            for question in (q for q in self._waiting if q.until > now):
                may = young < AT_A_TIME and len(self._of_its_kind(question)) < PER_HOST
                if may and self._start(question, now):
                    young += 1
                else:
                    left.append(question)
            self._waiting = left

    def _start(self, question: Question, now: float) -> bool:
        """Ask in a thread; return whether there was one to be had."""
        question.began = now
        name = f"{question.topic} {question.host}"
        thread = threading.Thread(target=self._ask, args=(question,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # as many as the machine has
            log.warning("asking.no_thread", host=question.host, reason=str(error))
            return False
        self._asked.setdefault((question.topic, question.host), []).append(question)
        return True

    def _ask(self, question: Question) -> None:
        try:
            question.ask()
        finally:
            connections.close_all()  # a driver may have asked whether it knows a host
            with self._lock:
                key = (question.topic, question.host)
                self._asked[key].remove(question)
                if not self._asked[key]:
                    del self._asked[key]
            question.answered.set()
            self._begin()


ASKER = Asker()
