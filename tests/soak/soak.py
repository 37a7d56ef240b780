"""One soak from its beginning to its print."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from django.core.management import call_command
from django.db import Error, connection

from servers.drivers.simulated import Fleet
from servers.management.accounts import ensure_admin
from servers.models import ActionRecord
from servers.outage import drop_connections
from servers.states import OPEN_ACTION_STATUSES, ActionStatus
from tests.postgresql.cluster import from_environment
from tests.soak.chaos import Chaos
from tests.soak.clients import Answers, crowd
from tests.soak.site import PROCESSES, Machine, settle
from tests.soak.watch import Watch

SOAK_S = float(os.environ.get("SOAK_S", "180"))
ENOUGH = int(os.environ.get("SOAK_ACTIONS", "1000000"))
REST_S = 300.0
SHARED = ("SIMULATED_FLEET", "IMAGE_DIR", "SECRET_KEY", "ADMIN_PASSWORD", "DATABASE_URL")
LIMITS_S = {"killed": 5.0, "stopped": 20.0, "lost": 20.0}
"""95 of 100 actions of a worker that was broken in this way are with another one after so many seconds."""
FEW = 50
"""Of fewer actions no percentile is judged."""
EXPECTED = frozenset(
    {"no_valid_host", "max_retries_exceeded", "compute_resources_unavailable", "agent_unavailable"}
)
"""With which an action may fail that was asked for at the wrong time: there was no room, or somebody else had paused
the guest before it could be asked anything. Everything else would be our fault."""
ENDS = (ActionStatus.SUCCEEDED, ActionStatus.FAILED, ActionStatus.CANCELLED)


def soak(data: Path) -> int:
    """Soak, print what came of it, and return 0 when nothing was wrong."""
    call_command("migrate", verbosity=0)
    ensure_admin()
    servers = settle(data)
    over, quiet = threading.Event(), threading.Event()
    shared = {name: os.environ[name] for name in SHARED} | {"WORKERS": str(PROCESSES)}
    one, two = Machine(data / "one", shared, ["up", "--empty"]), Machine(data / "two", shared, ["work"])
    watch = Watch(Fleet(data / "fleet.sqlite3"), quiet)
    watch.prepare()
    connection.close()
    answers, chaos = Answers(), Chaos(from_environment(), [one, two], SOAK_S, over)
    try:
        one.start()
        one.wait_until_up()
        two.start()
        clients = crowd(one, os.environ["ADMIN_PASSWORD"], servers, answers, ENOUGH, over)
        looking = threading.Thread(target=watch.run, daemon=True)
        began_at = time.monotonic()
        for thread in [*chaos.threads(), looking, *clients]:
            thread.start()
        while time.monotonic() - began_at < SOAK_S and any(client.is_alive() for client in clients):
            with suppress(Error):  # the database is down
                answers.open = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).count()
            drop_connections()
            time.sleep(1)
        over.set()
        for client in clients:
            client.join(180)
        asked_s = time.monotonic() - began_at
        wait_until_rest()
        took_s = time.monotonic() - began_at
        quiet.set()
        looking.join(30)
    finally:
        one.end()
        two.end()
    return Report(answers, chaos, watch, asked_s, took_s).print()


def wait_until_rest() -> None:
    """Wait until nothing is open, for REST_S at most: what is open then is stuck."""
    limit = time.monotonic() + REST_S
    while time.monotonic() < limit:
        with suppress(Error):  # a connection may still be cut
            if not ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exists():
                return
        drop_connections()
        time.sleep(0.5)


@dataclass
class Report:
    """What came of a soak."""

    answers: Answers
    chaos: Chaos
    watch: Watch
    asked_s: float
    took_s: float

    def print(self) -> int:
        """Print it; return 0 when nothing was wrong."""
        there = Counter(ActionRecord.objects.values_list("slug", flat=True))
        accepted = Counter(self.answers.accepted.values())
        lost, doubled = accepted - there, there - accepted
        failed = Counter(
            ActionRecord.objects.filter(status=ActionStatus.FAILED)
            .exclude(error_code__in=EXPECTED)
            .values_list("slug", "error_code", "error_text")
        )
        wrong = list(self.watch.at_rest())
        print("# Soak\n")
        self.print_actions(there)
        total = sum(there.values())
        print(
            f"\n{total} actions in {self.took_s:.0f} s, {total / self.took_s:.1f} a second; asked for in {self.asked_s:.0f} s."
        )
        print(f"{self.answers.replayed} answers were given again for the same key.\n")
        print(", ".join(f"{count} {what}" for what, count in self.chaos.done.items()) + ".\n")
        slow = list(self.print_recoveries())
        print(
            f"\n{self.watch.looks} looks: {sum(lost.values())} lost, {sum(doubled.values())} doubled, "
            f"{sum(each.startswith('stuck') for each in wrong)} stuck, {len(self.watch.violations)} violations, "
            f"{sum(failed.values())} failed for a reason of ours, {len(self.answers.broken)} answers of 500."
        )
        said = [
            *(f"lost: {count} {slug}" for slug, count in lost.items()),
            *(f"doubled: {count} {slug}" for slug, count in doubled.items()),
            *self.watch.violations,
            *wrong,
            *self.answers.broken,
            *(f"never answered: {each}" for each in self.answers.unanswered),
            *(f"failed {count} times: {each}" for each, count in failed.items()),
            *slow,
        ]
        for each in said[:50]:
            print(f"- {each}")
        print(dict(self.answers.codes))
        return 1 if said else 0

    def print_actions(self, there: Counter[str]) -> None:
        """Print how each kind of action ended."""
        records = Counter(ActionRecord.objects.values_list("slug", "status"))
        print("| action | accepted | succeeded | failed | cancelled | refused |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for slug in sorted(there):
            cells = [there[slug], *(records[slug, status] for status in ENDS), self.answers.refused[slug]]
            print(f"| {slug} | {' | '.join(map(str, cells))} |")

    def print_recoveries(self) -> Iterator[str]:
        """Print how long actions waited whose worker was broken; yield what took too long."""
        print("| worker was | actions taken over | p50 | p95 | max |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for kind, recovery in self.chaos.recoveries.items():
            seconds = sorted(recovery.seconds)
            if len(seconds) < 2:
                print(f"| {kind} | {len(seconds)} | – | – | – |")
                continue
            cuts = quantiles(seconds, n=20, method="inclusive")
            print(f"| {kind} | {len(seconds)} | {cuts[9]:.1f} s | {cuts[18]:.1f} s | {seconds[-1]:.1f} s |")
            if len(seconds) >= FEW and cuts[18] > LIMITS_S[kind]:
                yield f"taken over after a worker was {kind}: p95 {cuts[18]:.1f} s"
