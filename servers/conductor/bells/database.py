"""Bells in a table that workers ask again and again: for every database, and with no server of its own."""

from __future__ import annotations

from django.core.management import call_command
from django_tasks_db import DatabaseBackend

INTERVAL_S = 0.2
KEEP_DAYS = 1


class DatabaseBells(DatabaseBackend):
    """django-tasks-db."""

    def serve(self, worker: str) -> None:
        call_command("db_worker", interval=INTERVAL_S, startup_delay=False, worker_id=worker)

    def tidy_up(self) -> None:
        call_command("prune_db_task_results", min_age_days=KEEP_DAYS, verbosity=0)
