"""What a queue promises beyond Django's Tasks API."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol, cast

import structlog
from django.db import Error
from django_tasks import default_task_backend

from servers.outage import drop_connections, is_outage

log = structlog.get_logger(__name__)

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0
POLL_S = 0.2
STEADY_S = 30.0
"""After so many seconds of service the database counts as back: the next pause is a short one again."""


class WorkQueue(Protocol):
    """A queue that `manage.py work` can serve.

    It may lose an entry or deliver it twice: the action record decides what is done.
    """

    def serve(self, worker: str, queues: Collection[str], poll_s: float = POLL_S) -> None:
        """Carry out one entry of these queues at a time until SIGTERM, then finish it; wait out database outages.

        A queue that has to be asked for entries is asked every `poll_s` seconds.
        """

    def count_ready(self, queue: str, at_most: int) -> int:
        """Return how many entries of this queue nobody has begun; counts up to `at_most`."""

    def tidy_up(self) -> None:
        """Delete the entries that no worker will carry out any more."""


def work_queue() -> WorkQueue:
    """Return the queue that the setting QUEUE names."""
    return cast(WorkQueue, default_task_backend)


def persevere(serve: Callable[[], object], is_told_to_end: Callable[[], bool]) -> None:
    """Call `serve` until `is_told_to_end`, and again after each outage of the database.

    The pause before the next call grows from SHORTEST_PAUSE_S to LONGEST_PAUSE_S. Raises a database error
    that is no outage.
    """
    pause_s = SHORTEST_PAUSE_S
    while not is_told_to_end():
        began = time.monotonic()
        try:
            serve()
        except Error as error:
            if not is_outage(error):
                raise
            log.warning("worker.without_database", reason=str(error), pause_s=pause_s)
        drop_connections()
        if is_told_to_end():
            return
        if time.monotonic() - began > STEADY_S:
            pause_s = SHORTEST_PAUSE_S
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
