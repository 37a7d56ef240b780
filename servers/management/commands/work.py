"""manage.py work: carry out what was accepted, with several processes, so that an hour-long move blocks nothing.

`--processes` of them do anything; one more does control actions alone (abort, force-complete).
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from servers.database_age import refuse_strange_database
from servers.deployment.comparison import Membership, wait_until_admitted
from servers.engine.execution import signals
from servers.engine.execution.lease_renewal import FENCED
from servers.engine.execution.queue import CLASSES, CONTROL, PROMPT, name_of, unique_name, work_as
from servers.engine.execution.queues.base import POLL_S, work_queue
from servers.management.root import warn_of_root
from servers.monitoring.exposition import Listener
from servers.supervisor.periodic_tasks import PeriodicTasks
from servers.supervisor.processes import MANAGE, Child, Stopping, end_with_parent, stop

log = logging.getLogger(__name__)

LEAVE_S = 15.0
"""How long it takes at most, besides the grace, until a supervisor without a parent has left the database."""
TEND_S = 0.5
CONTROL_POLL_S = 0.5
"""How often the process for control asks a queue that has to be asked: an operator waits, no machine."""


def queues_of(processes: int) -> list[tuple[str, ...]]:
    """Return for each process from which queues it takes actions: `processes`, and one more for control alone.

    One of several makes no backups, so that a move finds a process on a night full of them.
    """
    prompt = [(CONTROL, PROMPT)] if processes > 1 else []
    everything = [tuple(CLASSES)] * (processes - len(prompt))
    return [(CONTROL,), *prompt, *everything]


class Command(BaseCommand):
    requires_system_checks = []
    help = "Carry out accepted actions. Each process does one at a time; a process that dies is replaced."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--processes",
            type=int,
            default=settings.WORKERS,
            help="how many actions at a time (default: %(default)s)",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=settings.WORKER_GRACE_S,
            metavar="SECONDS",
            help="how long a step may go on when the worker is told to end; another one takes its action over "
            "(default: %(default)s)",
        )
        parser.add_argument("--one", metavar="ID", help="be one of the processes, under this name")
        parser.add_argument(
            "--queues",
            nargs="+",
            choices=list(CLASSES),
            default=list(CLASSES),
            help="with --one: from which queues it takes actions (default: all)",
        )

    def handle(self, *args: Any, **given: Any) -> None:
        if given["processes"] < 1:
            raise CommandError("--processes must be at least 1")
        refuse_strange_database()
        end_with_parent(given["grace"] if given["one"] else given["grace"] + LEAVE_S)
        if given["one"]:
            work_as(given["one"], given["queues"])
            wait_until_admitted(time.sleep)
            poll_s = CONTROL_POLL_S if given["queues"] == [CONTROL] else POLL_S
            work_queue().serve(given["one"], given["queues"], poll_s)
        else:
            warn_of_root()
            self.supervise(given["processes"], given["grace"])

    def supervise(self, processes: int, grace_s: float) -> None:
        """Keep `processes` children at work, and one more for control, until somebody asks to end.

        Nothing else ends it: least of all a database.
        """
        periodic_tasks = PeriodicTasks(unique_name(), processes)
        membership = Membership(periodic_tasks.name, "worker").begin()
        children = [
            WorkerProcess(
                f"worker {number}",
                [],
                supervisor=periodic_tasks.name,
                told=periodic_tasks.note_reaped,
                grace_s=grace_s,
                queues=queues,
            )
            for number, queues in enumerate(queues_of(processes))
        ]
        stopping, listener = Stopping().listen(), Listener()
        try:
            while not stopping.is_set():
                for child in children:
                    happened = child.tend()
                    if happened:
                        log.warning(happened)
                periodic_tasks.keep_up()
                listener.keep_up()
                stopping.wait(TEND_S)
        finally:
            stop(children, grace_s)
            listener.close()
            periodic_tasks.leave()
            membership.leave()


@dataclass
class WorkerProcess(Child):
    """A process that does one action at a time, under a name that no other process ever has."""

    supervisor: str = ""
    """With whose name its own begins."""
    told: Callable[[str], None] = lambda name: None
    """Who is told by which name a process has worked that is no more."""
    known_as: str = ""
    grace_s: float = 0.0
    queues: Sequence[str] = tuple(CLASSES)
    """From which queues it takes actions."""

    def start(self) -> None:
        self.known_as = unique_name(self.supervisor)
        name = ["--one", self.known_as, "--grace", str(self.grace_s)]
        self.command = [*MANAGE, "work", *name, "--queues", *self.queues]
        super().start()

    def reaped(self, process: subprocess.Popen[bytes]) -> None:
        if process.returncode == FENCED:
            signals.send(signals.worker_fenced, reason=signals.ENDED)
        self.told(name_of(self.known_as, process.pid))
