"""Questions to the database that may take so long and no longer: one that hangs does not hang its monitoring."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

from servers.fleet.host_questions import Asker, Question

T = TypeVar("T")

DATABASE = "database"
NO_ANSWER = "the database does not answer within {limit_s:g} s"
ASKER = Asker()
"""Its threads end with their questions, and keep no connection."""


def within(limit_s: float, topic: str, ask: Callable[[], T]) -> T:
    """Return what `ask` returns, called in a thread of its own.

    While an earlier question of the same `topic` hangs, it is not asked at all: threads would pile up. Raises
    OperationalError when there is no answer in `limit_s` seconds, and what `ask` raises.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def keep() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001 - raised to whoever has asked
            errors.append(error)

    question = Question(DATABASE, topic, keep, time.monotonic() + limit_s)
    ASKER.put(question)
    ASKER.wait(question)
    if errors:
        raise errors[0]
    if not answers:
        raise OperationalError(NO_ANSWER.format(limit_s=limit_s))
    return answers[0]
