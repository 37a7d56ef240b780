"""What breaks meanwhile: workers are killed and stopped, a machine is lost, the database restarts, connections are cut."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.db import Error, connection

from servers.models import ActionRecord
from servers.outage import drop_connections
from servers.states import ActionStatus
from tests.postgresql.cluster import Cluster
from tests.soak.site import Machine, send

log = structlog.get_logger(__name__)

KILL_S, STOP_S, CUT_S = 5.0, 30.0, 7.0
STOPPED_FOR_S = 18.0
"""Longer than a lease: somebody else has the action when it goes on. Shorter than the simulated fleet waits for its
store, which a process may hold that is stopped: it would be every host at once that is silent."""
DOWN_FOR_S = 6.0
RESTARTS, LOSSES = 2, 1


@dataclass
class Recovery:
    """Actions that a broken worker had, and how long each waited for another one."""

    of: str
    seconds: list[float] = field(default_factory=list)
    open: dict[tuple[object, int], float] = field(default_factory=dict)
    """By action and attempt: when its worker was broken."""


class Chaos:
    """Breaks things in threads of its own until `over` is set."""

    def __init__(
        self, cluster: Cluster, machines: list[Machine], lasts_s: float, over: threading.Event
    ) -> None:
        self.cluster, self.machines, self.over = cluster, machines, over
        self.lasts_s = lasts_s
        self.done = {"killed": 0, "stopped": 0, "lost": 0, "restarts": 0, "cut": 0}
        self.recoveries = {kind: Recovery(kind) for kind in ("killed", "stopped", "lost")}
        self.away = threading.Lock()
        """Held while the database is down: what waits then is not a worker's fault."""
        self.lock = threading.Lock()

    def threads(self) -> list[threading.Thread]:
        every = [(self.kill, KILL_S), (self.stop, STOP_S), (self.cut, CUT_S), (self.look, 0.1)]
        now_and_then = [(self.restart, RESTARTS), (self.lose, LOSSES)]
        repeated = [threading.Thread(target=self.repeat, args=pair, daemon=True) for pair in every]
        rare = [threading.Thread(target=self.spread, args=pair, daemon=True) for pair in now_and_then]
        return repeated + rare

    def repeat(self, act: Callable[[], None], every_s: float) -> None:
        while not self.over.wait(every_s):
            self.try_to(act)

    def spread(self, act: Callable[[], None], times: int) -> None:
        """Act so often, in equal distances."""
        for _ in range(times):
            if self.over.wait(self.lasts_s / (times + 1)):
                return
            self.try_to(act)

    def try_to(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Error:
            pass  # the database is down: that is chaos of our own
        finally:
            drop_connections()

    # ------------------------------------------------------------------------------------- workers

    def worker(self) -> int | None:
        workers = [pid for machine in self.machines for pid in machine.workers()]
        return random.choice(workers) if workers else None

    def kill(self) -> None:
        pid = self.worker()
        if pid is not None:
            send(pid, signal.SIGKILL)
            self.note("killed", [pid])

    def stop(self) -> None:
        pid = self.worker()
        if pid is None:
            return
        send(pid, signal.SIGSTOP)
        self.note("stopped", [pid])
        self.over.wait(STOPPED_FOR_S)
        send(pid, signal.SIGCONT)

    def lose(self) -> None:
        """Lose the machine without a web server, and bring it back."""
        machine = self.machines[-1]
        workers = machine.workers()
        machine.lose()
        self.note("lost", workers)
        machine.start()

    def note(self, kind: str, workers: list[int]) -> None:
        """Remember which actions the workers had."""
        now = time.monotonic()
        with self.lock:
            self.done[kind] += 1
        with self.away:
            running = ActionRecord.objects.filter(status=ActionStatus.RUNNING).values_list(
                "pk", "attempt", "worker"
            )
            had = [
                (pk, attempt)
                for pk, attempt, worker in running
                if int(worker.rpartition(":")[2] or 0) in workers
            ]
        with self.lock:
            self.recoveries[kind].open.update(dict.fromkeys(had, now))

    def look(self) -> None:
        """Find out which of them somebody else has now."""
        with self.lock:
            waiting = {key for each in self.recoveries.values() for key in each.open}
        if not waiting:
            return
        with self.away:
            rows = ActionRecord.objects.filter(pk__in=[pk for pk, _ in waiting]).values_list(
                "pk", "attempt", "status"
            )
            found = {pk: (attempt, status) for pk, attempt, status in rows}
        now = time.monotonic()
        with self.lock:
            for each in self.recoveries.values():
                for pk, attempt in list(each.open):
                    if found.get(pk, (attempt, "")) != (attempt, ActionStatus.RUNNING):
                        each.seconds.append(now - each.open.pop((pk, attempt)))

    # ------------------------------------------------------------------------------------ the database

    def restart(self) -> None:
        """Restart the database; what waits for another worker meanwhile is not counted."""
        with self.away:
            self.cluster.stop("fast")
            self.over.wait(DOWN_FOR_S)
            self.cluster.start()
            self.done["restarts"] += 1
        with self.lock:
            for each in self.recoveries.values():
                each.open.clear()

    def cut(self) -> None:
        """Cut a connection that somebody uses, as an administrator or a failover does."""
        with self.away, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid != pg_backend_pid() AND backend_type = 'client backend'"
                " ORDER BY state = 'idle', random() LIMIT 1"
            )
            self.done["cut"] += len(cursor.fetchall())
