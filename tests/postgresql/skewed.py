"""manage.py on a machine whose time of day is off by SKEW_S seconds: `python -m tests.postgresql.skewed work …`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta, tzinfo

from django.core.management import execute_from_command_line
from django.utils import timezone

from servers import clock
from servers.supervisor import processes

SKEW = timedelta(seconds=float(os.environ["SKEW_S"]))


class Skewed(datetime):
    """Whatever asks this machine what time it is gets the wrong answer."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz or UTC) + SKEW


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    clock.datetime = Skewed  # type: ignore[attr-defined,misc]
    timezone.datetime = Skewed  # type: ignore[attr-defined,misc]
    processes.MANAGE[:] = [sys.executable, "-m", "tests.postgresql.skewed"]
    execute_from_command_line(sys.argv)
