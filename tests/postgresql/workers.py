"""`manage.py work` as somebody runs it, on the database of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from servers.models import ActionRecord

ROOT = Path(__file__).parents[2]
GRACE_S = 5
LIMIT_S = 60.0


def environment_of(database: str) -> dict[str, str]:
    """Return the environment of a process that uses this database of the cluster, and agrees with this one."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
    alike = {"SECRET_KEY": settings.SECRET_KEY, "LEASE_TTL": f"{settings.LEASE_TTL_S:g}"}
    stores = {"IMAGE_DIR": str(settings.IMAGE_DIR), "SIMULATED_FLEET": str(settings.SIMULATED_FLEET)}
    return {**os.environ, **alike, **stores, "DATABASE_URL": url}


def manage(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py to its end."""
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


class Workers:
    """One supervisor with its processes."""

    def __init__(
        self, processes: int, environment: Mapping[str, str], log: Path, module: str | None = None
    ) -> None:
        self.log = log
        command = [
            sys.executable,
            *(["-m", module] if module else ["manage.py"]),
            "work",
            "--processes",
            str(processes),
            "--grace",
            str(GRACE_S),
        ]
        with log.open("wb") as output:
            self.supervisor = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**environment_of(str(connection.settings_dict["NAME"])), **environment},
                stdout=output,
                stderr=output,
            )

    def end(self) -> float:
        """Ask it to end; return how many seconds that took."""
        asked_at = time.monotonic()
        self.supervisor.send_signal(signal.SIGTERM)
        self.supervisor.wait(GRACE_S + LIMIT_S)
        return time.monotonic() - asked_at

    def has(self, record: ActionRecord) -> bool:
        """Return whether one of its processes has the action."""
        status = Path(f"/proc/{pid_of(record)}/status").read_text()
        return f"\nPPid:\t{self.supervisor.pid}\n" in status


def pid_of(record: ActionRecord) -> int:
    """Return the process that has the action, or had it last."""
    return int(record.worker.rpartition(":")[2])


def until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for the condition. Raises AssertionError when it takes too long."""
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def until_over(*records: ActionRecord) -> None:
    """Wait until the actions are over."""
    keys = [record.pk for record in records]

    def over() -> bool:
        return all(record.is_over for record in ActionRecord.objects.filter(pk__in=keys))

    until(over, f"not over: {list(ActionRecord.objects.filter(pk__in=keys))}")
