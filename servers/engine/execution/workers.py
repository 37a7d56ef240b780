"""Whether anybody carries actions out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from servers import clock
from servers.models import Worker

SILENT = timedelta(seconds=15)
"""A worker shows up every five seconds."""


@dataclass(frozen=True)
class WorkerHealth:
    """How many processes are there, or since when there is none (None: never heard of)."""

    processes: int
    seen_at: datetime | None

    @property
    def is_up(self) -> bool:
        return self.processes > 0


def worker_health() -> WorkerHealth:
    """Return whether anybody carries actions out."""
    limit = clock.now() - SILENT
    workers = list(Worker.objects.order_by("-seen_at"))
    alive = [worker for worker in workers if worker.seen_at > limit]
    return WorkerHealth(sum(w.processes for w in alive), workers[0].seen_at if workers else None)
