"""Commands that work with the records."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from servers.database_age import refuse_strange_database
from servers.deployment.comparison import compare
from servers.deployment.standing import STANDING


class OnDatabase(BaseCommand):
    """A command that works with the records: it refuses a database with which it cannot, before anything else.

    It refuses as well where this machine has not what the deployment has, unless it `only_reads`.
    """

    requires_system_checks = []
    only_reads = False

    def execute(self, *args: Any, **options: Any) -> str | None:
        refuse_strange_database()
        if not self.only_reads:
            compare()
            STANDING.require()
        return super().execute(*args, **options)
