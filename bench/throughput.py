"""How many actions four worker processes carry out in a second, when nothing breaks, beside one process alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.prepared import prepared

if TYPE_CHECKING:
    from tests.small_fleet import SmallFleet

ROOT = Path(__file__).parent.parent
HOSTS = 30
ACTIONS = 90
PROCESSES = 4
PATIENCE_S = 300.0
MEMORY_MB = 64
"""Copied in a twentieth of a second: what is measured is the engine."""
ASKED_FOR: dict[str, dict[str, Any]] = {
    "live-migration": {"host": None, "block_migration": "auto"},
    "create-backup": {"name": "b", "backup_type": "daily", "rotation": 1},
}


def main() -> int:
    """Print the figures."""
    with prepared(LOG_LEVEL="INFO"):
        for slug in ASKED_FOR:
            measure(slug)
    return 0


def measure(slug: str) -> None:
    """Print how many of these actions a second end, by one process, and by several."""
    from django.core.management import call_command

    from servers.audit.saying import may_cut
    from tests.small_fleet import SmallFleet

    with may_cut():
        call_command("flush", interactive=False, verbosity=0)
    fleet = SmallFleet(hosts=HOSTS)
    fleet.heartbeat()
    alone = rate(fleet, slug, ACTIONS // 3, fleet.work)
    together = rate(fleet, slug, ACTIONS, with_workers)
    print(f"{slug}: {together:.1f} a second by {PROCESSES} processes, {alone:.1f} by one alone", flush=True)


def rate(fleet: SmallFleet, slug: str, count: int, work: Callable[[], None]) -> float:
    """Return how many of `count` actions a second are carried out by `work`, on a server each."""
    from servers.models import ActionRecord, Server

    for number in range(count):
        host = f"node{1 + number % HOSTS}"
        server = fleet.add_server(f"{slug}-{count}-{number}", host, memory_mb=MEMORY_MB)
        fleet.submit(slug, server, **ASKED_FOR[slug])
    mine = ActionRecord.objects.filter(server__in=Server.objects.filter(name__startswith=f"{slug}-{count}-"))
    work()
    wrong = mine.exclude(status="succeeded").values_list("slug", "status", "error_text")
    if wrong:
        raise RuntimeError(f"not all have succeeded: {list(wrong)[:3]}")
    times = mine.values_list("started_at", "finished_at")
    took = max(end for _, end in times) - min(begin for begin, _ in times)
    return count / float(took.total_seconds())


def with_workers() -> None:
    """Let worker processes carry out everything that is open."""
    from servers.models import ActionRecord

    command = [sys.executable, "manage.py", "work", "--processes", str(PROCESSES)]
    workers = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE_S
        while ActionRecord.objects.filter(finished_at=None).exists():
            if time.monotonic() > end:
                raise TimeoutError(f"actions are still open after {PATIENCE_S:g} s")
            time.sleep(0.5)
    finally:
        workers.terminate()
        workers.wait(30)


if __name__ == "__main__":
    sys.exit(main())
