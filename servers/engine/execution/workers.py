"""Which worker processes run, and what they carry out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from servers import clock
from servers.engine.execution.queue import beginning_of
from servers.models import ActionRecord, Worker
from servers.states import ActionStatus

RULE = "gantry:workers:list"
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


def is_alive(worker: Worker) -> bool:
    """Return whether a supervisor was seen lately."""
    return worker.seen_at > clock.now() - SILENT


def worker_health() -> WorkerHealth:
    """Return how many worker processes run, summed over all supervisors that were seen lately."""
    workers = list(Worker.objects.order_by("-seen_at"))
    processes = sum(worker.processes for worker in workers if is_alive(worker))
    return WorkerHealth(processes, workers[0].seen_at if workers else None)


@dataclass(frozen=True)
class AtWork:
    """A supervisor of worker processes, and the actions that these carry out."""

    name: str
    machine: str
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    processes: int
    actions: tuple[ActionRecord, ...]


def at_work() -> list[AtWork]:
    """Return who works, since when and on what, in two queries; the actions longest running first, with their servers."""
    running = ActionRecord.objects.filter(status=ActionStatus.RUNNING, lease_until__gt=clock.now())
    held: dict[str, list[ActionRecord]] = {}
    for action in running.select_related("server").order_by("started_at", "pk"):
        held.setdefault(beginning_of(action.worker), []).append(action)
    return [
        AtWork(
            worker.name,
            beginning_of(worker.name),
            is_alive(worker),
            worker.started_at,
            worker.seen_at,
            worker.processes,
            tuple(held.get(worker.name, ())),
        )
        for worker in Worker.objects.order_by("name")
    ]
