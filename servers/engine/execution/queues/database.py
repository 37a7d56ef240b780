"""WorkQueue in a table that workers poll: for every database, and without a broker."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from types import FrameType

from django.utils import timezone
from django_tasks_db import DatabaseBackend
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from servers.engine.execution.ending import ENDING
from servers.engine.execution.queues.base import POLL_S, persevere
from servers.engine.records.batches import forget

KEEP_DAYS = 1


class PatientWorker(Worker):
    """A worker that goes on to the end of its step after any number of signals: whoever is in a hurry kills it."""

    def shutdown(self, signum: int, frame: FrameType | None) -> None:
        self.running = False  # it looks when it has slept, or when its task is over
        ENDING.set()


class DatabaseQueue(DatabaseBackend):
    """The queue of django-tasks-db, served by its own worker."""

    def serve(self, worker: str, queues: Collection[str], poll_s: float = POLL_S) -> None:
        """Carry out entries until SIGTERM, polling every `poll_s`; sets the process's signal handlers."""
        process = PatientWorker(
            queue_names=sorted(queues),
            interval=poll_s,
            batch=False,
            backend_name=self.alias,
            startup_delay=False,
            max_tasks=None,
            worker_id=worker,
            excluded_queue_names=[],
        )
        process.configure_signals()
        persevere(process.run, lambda: not process.running)

    def count_ready(self, queue: str, at_most: int) -> int:
        """Return how many entries of this queue nobody has begun; counts up to `at_most`."""
        ready = DBTaskResult.objects.ready().filter(backend_name=self.alias, queue_name=queue)
        return ready.order_by()[:at_most].count()

    def tidy_up(self) -> None:
        """Delete the entries that ended over KEEP_DAYS ago: as `prune_db_task_results`, but in batches."""
        answered = DBTaskResult.objects.finished().filter(backend_name=self.alias)
        forget(answered.filter(finished_at__lte=timezone.now() - timedelta(days=KEEP_DAYS)))
