"""Questions to hosts, each in a thread, only so many at a time: a host that hangs delays no other one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field

import structlog
from django.db import connections

log = structlog.get_logger(__name__)

AT_A_TIME = 20
"""How many questions younger than PATIENCE_S are asked at the same time."""
PATIENCE_S = 1.0
"""After so many seconds a question does not count in AT_A_TIME any more; its thread goes on."""
PER_HOST = 4
"""How many questions of one topic a host is asked at the same time."""


@dataclass(eq=False)
class Question:
    """One question to one host. `ask` runs in a thread of its own, keeps the answer, and raises nothing."""

    host: str
    topic: str
    ask: Callable[[], None]
    until: float
    """The time, by time.monotonic(), at which callers stop waiting for the answer."""
    began: float = 0.0
    answered: threading.Event = field(default_factory=threading.Event)
    context: Context = field(default_factory=copy_context)
    """Of whoever asks: what its answer makes somebody log names the request for which it was asked."""


class Asker:
    """The queue of questions to hosts: each is asked in a daemon thread, a limited number at a time.

    A thread ends with its question, and keeps no connection to the database. What is known of a host ends
    with its last question, so nothing is left of a host that was removed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._asked: dict[tuple[str, str], list[Question]] = {}

    def put(self, question: Question) -> None:
        """Queue a question; the caller then calls `wait`.

        A question is not asked at all when the host still hangs over an earlier one of the same topic, that
        is one past its `until`.
        """
        with self._lock:
            if any(time.monotonic() > earlier.until for earlier in self._of_its_kind(question)):
                question.answered.set()
            else:
                self._waiting.append(question)
        self._begin()

    def wait(self, question: Question) -> None:
        """Wait until the question was answered, until it was refused by `put`, or until its `until`."""
        while not question.answered.wait(min(question.until - time.monotonic(), PATIENCE_S)):
            if time.monotonic() >= question.until:
                return
            self._begin()

    def _of_its_kind(self, question: Question) -> list[Question]:
        return self._asked.get((question.topic, question.host), [])

    def _begin(self) -> None:
        """Start the queued questions that may be asked now, in order; drop those past their `until`."""
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
        """Ask in a new thread; return False when the machine has no thread left."""
        question.began = now
        name = f"{question.topic} {question.host}"
        thread = threading.Thread(target=self._ask, args=(question,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the machine has no more threads
            log.warning("host_question.no_thread", host=question.host, reason=str(error))
            return False
        self._asked.setdefault((question.topic, question.host), []).append(question)
        return True

    def _ask(self, question: Question) -> None:
        try:
            question.context.run(question.ask)
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
"""The one Asker of this process."""
