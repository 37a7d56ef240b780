"""Whether worker processes run that carry actions out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from servers import clock
from servers.models import Worker

SILENT = timedelta(seconds=15)
"""A supervisor that was not seen for longer is gone; it writes every 5 seconds that it is there."""


@dataclass(frozen=True)
class WorkerHealth:
    """How many worker processes run, and when a supervisor of them was last seen (None: never)."""

    processes: int
    seen_at: datetime | None

    @property
    def is_up(self) -> bool:
        """Return whether a worker process runs."""
        return self.processes > 0


def worker_health() -> WorkerHealth:
    """Return how many worker processes run, summed over all supervisors that were seen lately."""
    limit = clock.now() - SILENT
    workers = list(Worker.objects.order_by("-seen_at"))
    alive = [worker for worker in workers if worker.seen_at > limit]
    return WorkerHealth(sum(w.processes for w in alive), workers[0].seen_at if workers else None)
