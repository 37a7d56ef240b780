"""What the supervisor of workers does itself, again and again: each task for itself, whatever becomes of the others."""

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
from servers.engine.execution.dead_workers import release
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
RECONCILE_S = 5.0
"""How often it is looked whether a comparison is due; RECONCILE_INTERVAL says how often one is."""
PRUNE_S = 3600.0
FORGET_WORKERS = timedelta(days=1)
SLOW_AT_A_TIME = 3
"""How many tasks that can take long are at it at a time, each with a connection to the database."""
LEAVE_WITHIN_S = 2.0
BREATHER = 0.1
"""The part of its time for which a task rests that takes longer than it."""


@dataclass
class PeriodicTask:
    """Something to do every so many seconds, in a thread of its own: one that takes long keeps no other waiting."""

    name: str
    every_s: float
    do: Callable[[], object]
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    """What to hold while it is done."""
    keeps_connection: bool = False
    thread: threading.Thread | None = None

    def keep_up(self, ended: threading.Event) -> None:
        """See to it that there is a thread that does it until `ended` is set. Raises RuntimeError when there is none."""
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self.repeat, args=(ended,), name=self.name, daemon=True)
            self.thread.start()

    def repeat(self, ended: threading.Event) -> None:
        """Do it again and again, so many seconds from one beginning to the next where it does not take longer."""
        while not ended.is_set():
            next_at = time.monotonic() + self.every_s
            self.do_once()
            ended.wait(max(next_at - time.monotonic(), self.every_s * BREATHER))
        connections.close_all()

    def do_once(self) -> None:
        """Do it. Whatever it raises is logged, and met again the next time: a database that is away comes back."""
        with self.turn:
            try:
                check_connections()
                self.do()
            except Exception as error:
                log.warning("%s: %s", self.name, error, exc_info=None if is_outage(error) else error)
                drop_connections()
            if not self.keeps_connection:
                drop_connections()


class PeriodicTasks:
    """All tasks of one supervisor."""

    def __init__(self, name: str, processes: int) -> None:
        self.name, self.processes = name, processes
        self.reaped: deque[str] = deque()
        self.heartbeats = Heartbeats()
        self.ended = threading.Event()
        slow = threading.BoundedSemaphore(SLOW_AT_A_TIME)
        self.tasks = [
            PeriodicTask("presence", PRESENCE_S, self.show_presence, keeps_connection=True),
            PeriodicTask("sweep", SWEEP_S, self.enqueue_due, keeps_connection=True),
            PeriodicTask("heartbeats", HEARTBEAT_S, self.heartbeats.collect),
            PeriodicTask("confirm", CONFIRM_S, confirm_overdue, slow),
            PeriodicTask("discard", DISCARD_S, discard_left, slow),
            PeriodicTask("look again", LOOK_AGAIN_S, look_again_when_hosts_return, slow),
            PeriodicTask("reconcile", RECONCILE_S, reconcile_when_due, slow),
            PeriodicTask("prune", PRUNE_S, prune, slow),
            PeriodicTask("tidy up", PRUNE_S, lambda: work_queue().tidy_up(), slow),
        ]

    def keep_up(self) -> None:
        """See to it that each task is done; one for which there is no thread has to wait for one."""
        for task in self.tasks:
            try:
                task.keep_up(self.ended)
            except RuntimeError as error:
                log.warning("%s: %s", task.name, error)

    def show_presence(self) -> None:
        """Write down that this supervisor is there, and forget those that have not been for long."""
        Worker.objects.update_or_create(
            name=self.name, defaults={"processes": self.processes, "seen_at": clock.now()}
        )
        Worker.objects.filter(seen_at__lt=clock.now() - FORGET_WORKERS).delete()

    def note_reaped(self, worker: str) -> None:
        """Take note that a worker process is no more; what it held is released as soon as there is a database."""
        self.reaped.append(worker)

    def enqueue_due(self) -> None:
        """Enqueue whatever is due, and what dead workers held."""
        sweep()
        while self.reaped:
            release(self.reaped[0])
            self.reaped.popleft()

    def leave(self) -> None:
        """End all tasks, release what was held, and write down that this supervisor is gone.

        Without a database leases end by running out, and a presence by growing old.
        """
        self.ended.set()
        for task in self.tasks:
            if task.thread is not None:
                task.thread.join(LEAVE_WITHIN_S / len(self.tasks))
        for last in (
            PeriodicTask("release", 0, self.enqueue_due),
            PeriodicTask("leave", 0, self.forget_presence),
        ):
            last.do_once()

    def forget_presence(self) -> None:
        Worker.objects.filter(name=self.name).delete()
