"""Bells in a table that workers ask again and again: for every database, and with no server of its own."""

from __future__ import annotations

from django.core.management import call_command
from django_tasks_db import DatabaseBackend
from django_tasks_db.management.commands.db_worker import Worker

from servers.conductor.bells.base import persevere

INTERVAL_S = 0.2
KEEP_DAYS = 1


class DatabaseBells(DatabaseBackend):
    """django-tasks-db."""

    def serve(self, worker: str) -> None:
        process = Worker(
            queue_names=sorted(self.queues),
            interval=INTERVAL_S,
            batch=False,
            backend_name=self.alias,
            startup_delay=False,
            max_tasks=None,
            worker_id=worker,
            excluded_queue_names=[],
        )
        process.configure_signals()
        persevere(process.run, lambda: not process.running)

    def tidy_up(self) -> None:
        call_command("prune_db_task_results", min_age_days=KEEP_DAYS, verbosity=0)
