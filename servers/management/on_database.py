"""Commands that work with the records."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from servers.database_age import refuse_strange_database


class OnDatabase(BaseCommand):
    """A command that works with the records: it refuses a database with which it cannot, before anything else."""

    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        refuse_strange_database()
        return super().execute(*args, **options)
