"""Periodic tasks of a supervisor, each in a thread of its own: one that fails or hangs stops no other."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connections

from servers import clock
from servers.acting import acting
from servers.audit.chain import chain
from servers.deployment.standing import STANDING, Work
from servers.engine.execution.dead_workers import release
from servers.engine.execution.lease import stall_foreign
from servers.engine.execution.queue import sweep
from servers.engine.execution.queues.base import work_queue
from servers.engine.images import discard_left
from servers.engine.judgement.judge import look_again_when_hosts_return
from servers.fleet.heartbeats import Heartbeats
from servers.models import Worker
from servers.outage import check_connections, drop_connections, is_outage
from servers.supervisor.overdue import confirm_overdue, reconcile_when_due
from servers.supervisor.retention import prune

log = logging.getLogger(__name__)

SWEEP_S = 1.0
HEARTBEAT_S = 10.0
PRESENCE_S = 5.0
CONFIRM_S = 10.0
DISCARD_S = 60.0
LOOK_AGAIN_S = 10.0
FOREIGN_S = 60.0
FOREIGN_AFTER_S = 600.0
"""So long workers of another version may take an action that this version does not know (a rolling upgrade)."""
RECONCILE_S = 5.0
"""How often the task looks whether a pass is due, in seconds; RECONCILE_INTERVAL says how often one is."""
CHAIN_S = 2.0
"""How often what has been committed to the audit trail is chained."""
PRUNE_S = 3600.0
FORGET_WORKERS = timedelta(days=1)
SLOW_AT_A_TIME = 3
"""How many of the slow tasks work at the same time; each needs a connection to the database."""
LEAVE_WITHIN_S = 2.0
BREATHER = 0.1
"""The part of its period for which a task rests that takes longer than its period."""


@dataclass
class PeriodicTask:
    """Work that is done every `every_s` seconds, in a thread of its own."""

    name: str
    every_s: float
    do: Callable[[], object]
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    """What is held while the task works: a semaphore shared by the slow tasks."""
    keeps_connection: bool = False
    work: Work | None = Work.EVERYTHING
    """It is not done while this machine stays out of that; None: it is done always."""
    thread: threading.Thread | None = None

    def keep_up(self, ended: threading.Event) -> None:
        """Start the task's thread unless it runs; the thread ends when `ended` is set.

        Raises RuntimeError when the machine has no thread left.
        """
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.repeat, args=(ended,), name=self.name, daemon=True)
            self.thread.start()

    def repeat(self, ended: threading.Event) -> None:
        """Call `do_once` until `ended` is set, every `every_s` seconds from one start to the next.

        When the work takes longer than that, the thread rests for BREATHER of `every_s`. Closes the thread's
        database connections at the end.
        """
        while not ended.is_set():
            next_at = time.monotonic() + self.every_s
            self.do_once()
            ended.wait(max(next_at - time.monotonic(), self.every_s * BREATHER))
        connections.close_all()

    def do_once(self) -> None:
        """Call `do` once, while `turn` is held.

        Raises nothing: an exception is logged, with its traceback unless the database is unavailable, and the
        next call tries again. Closes the thread's database connections after an exception, and always unless
        `keeps_connection`. Does nothing while this machine stays out of the task's `work`.
        """
        if self.work is not None and STANDING.refuses(self.work) is not None:
            return
        with self.turn, acting(reason=f"periodic task: {self.name}"):
            try:
                check_connections()
                self.do()
            except Exception as error:
                log.warning("%s: %s", self.name, error, exc_info=None if is_outage(error) else error)
                drop_connections()
            if not self.keeps_connection:
                drop_connections()


class PeriodicTasks:
    """All periodic tasks of one supervisor of worker processes."""

    def __init__(self, name: str, processes: int) -> None:
        self.name, self.processes = name, processes
        self.reaped: deque[str] = deque()
        self.heartbeats = Heartbeats()
        self.ended = threading.Event()
        slow = threading.BoundedSemaphore(SLOW_AT_A_TIME)
        self.tasks = [
            PeriodicTask("presence", PRESENCE_S, self.show_presence, keeps_connection=True, work=None),
            PeriodicTask("sweep", SWEEP_S, self.enqueue_due, keeps_connection=True),
            PeriodicTask("heartbeats", HEARTBEAT_S, self.heartbeats.collect),
            PeriodicTask("confirm", CONFIRM_S, confirm_overdue, slow),
            PeriodicTask("discard", DISCARD_S, discard_left, slow, work=Work.IMAGES),
            PeriodicTask("look again", LOOK_AGAIN_S, look_again_when_hosts_return, slow),
            PeriodicTask("foreign actions", FOREIGN_S, lambda: stall_foreign(FOREIGN_AFTER_S), slow),
            PeriodicTask("reconcile", RECONCILE_S, reconcile_when_due, slow),
            PeriodicTask("chain", CHAIN_S, chain, keeps_connection=True),
            PeriodicTask("prune", PRUNE_S, prune, slow),
            PeriodicTask("tidy up", PRUNE_S, lambda: work_queue().tidy_up(), slow),
        ]

    def keep_up(self) -> None:
        """Start a thread for each task that has none; what fails is logged, and tried at the next call."""
        for task in self.tasks:
            try:
                task.keep_up(self.ended)
            except RuntimeError as error:
                log.warning("%s: %s", task.name, error)

    def show_presence(self) -> None:
        """Write that this supervisor is alive, with the number of its processes (model Worker).

        Deletes the rows of supervisors that were not seen for FORGET_WORKERS.
        """
        Worker.objects.update_or_create(
            name=self.name, defaults={"processes": self.processes, "seen_at": clock.now()}
        )
        Worker.objects.filter(seen_at__lt=clock.now() - FORGET_WORKERS).delete()

    def note_reaped(self, worker: str) -> None:
        """Remember the name of a worker process that has ended.

        `enqueue_due` ends its leases as soon as the database answers.
        """
        self.reaped.append(worker)

    def enqueue_due(self) -> None:
        """Enqueue the actions that are due, and end the leases of worker processes that have ended."""
        sweep()
        while worker := self._next_reaped():
            try:
                release(worker)
            except BaseException:
                self.reaped.appendleft(worker)
                raise

    def _next_reaped(self) -> str:
        """Take a name from `reaped`, empty when there is none: `leave` may do so beside the sweep's thread."""
        try:
            return self.reaped.popleft()
        except IndexError:
            return ""

    def leave(self) -> None:
        """End all tasks and the leases of worker processes that have ended; delete this supervisor's row.

        Waits at most LEAVE_WITHIN_S for the threads. Raises nothing: without a database leases run out by
        themselves, and another supervisor deletes the row when it is old.
        """
        self.ended.set()
        for task in self.tasks:
            if task.thread is not None:
                task.thread.join(LEAVE_WITHIN_S / len(self.tasks))
        for last in (
            PeriodicTask("release", 0, self.enqueue_due, work=None),
            PeriodicTask("leave", 0, self.forget_presence, work=None),
        ):
            last.do_once()

    def forget_presence(self) -> None:
        """Delete this supervisor's row."""
        Worker.objects.filter(name=self.name).delete()
