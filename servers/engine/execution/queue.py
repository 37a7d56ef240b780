"""The queue, behind Django's Tasks API, wakes workers; which action is begun then, `choice` decides by the records.

An entry says only that something of its classes is due. One that is lost or finds nothing does no harm:
`sweep` makes as many entries as there are due actions without one.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Collection, Mapping
from uuid import uuid4

from django.db import transaction
from django_tasks import task

from servers import clock
from servers.deployment.comparison import is_admitted
from servers.engine.capacity import slots
from servers.engine.execution.choice import Choice, due, due_of
from servers.engine.execution.lease import known_definitions
from servers.engine.execution.queues.base import work_queue
from servers.engine.execution.run import work
from servers.models import ActionRecord, Migration
from servers.states import ActionStatus, MigrationStatus, QueueClass

HOST_LENGTH, TOKEN_LENGTH = 32, 12

CONTROL, PROMPT, BACKGROUND = "control", "default", "background"
"""The queues, as the setting TASKS names them: each wakes the processes that serve it."""
CLASSES: Mapping[str, tuple[QueueClass, ...]] = {
    CONTROL: (QueueClass.CONTROL,),
    PROMPT: (QueueClass.STOPPING, QueueClass.MOVES, QueueClass.GENERAL),
    BACKGROUND: (QueueClass.BACKUPS,),
}
"""The classes of actions for which each queue wakes a process."""
_QUEUE_OF: Mapping[str, str] = {name: queue for queue, names in CLASSES.items() for name in names}
MOST_ENTRIES = 32
"""So many entries of a queue are enough to wake whoever is idle; `sweep` adds none to more."""


def unique_name(supervisor: str = "") -> str:
    """Return a name that no process has had on any machine: host names and process ids may repeat.

    It begins with the machine's, that of a worker process with its supervisor's.
    """
    return f"{supervisor or socket.gethostname()[:HOST_LENGTH]}-{uuid4().hex[:TOKEN_LENGTH]}"


def beginning_of(name: str) -> str:
    """Return what a name begins with that `unique_name` has made: a machine, or the name of a supervisor."""
    return name.rpartition("-")[0]


_called = [unique_name()]
_choice = [Choice()]


def work_as(name: str, queues: Collection[str] = tuple(CLASSES)) -> None:
    """Set the name of this process in action records, and from which queues it takes actions.

    Its supervisor has made the name for it alone.
    """
    _called[0] = name
    _choice[0] = Choice([taken for queue in queues for taken in CLASSES[queue]])


def worker_name() -> str:
    """Return the name of this process in action records."""
    return name_of(_called[0], os.getpid())


def name_of(name: str, process: int) -> str:
    """Return the name in action records of the process with this process id that works under `name`."""
    return f"{name}:{process}"


@task()
def run_next() -> None:
    """Carry out the action that comes next, then enqueue what may go on because of its end.

    The task of the queue. Does nothing when nothing is due for this process. One that may do nothing any more,
    because it differs from the deployment, ends: its supervisor starts it again, and it waits until it may.
    """
    if not is_admitted():
        signal.raise_signal(signal.SIGTERM)
        return
    lease = _choice[0].claim_next(worker_name())
    if lease is None:
        return
    work(lease, heartbeat=True)
    for waiting in freed_by(ActionRecord.objects.get(pk=lease.action)):
        enqueue(waiting)


def freed_by(record: ActionRecord) -> list[ActionRecord]:
    """Return the due actions that may have waited for this one: for its server, or for a slot of its host."""
    opened = ActionRecord.objects.filter(finished_at=None).order_by()
    waiting = list(opened.filter(server_id=record.server_id).values_list("pk", flat=True))
    if record.migration_id is not None:
        queued = Migration.objects.filter(source_compute=record.source_host, status=MigrationStatus.QUEUED)
        waiting += opened.filter(migration__in=queued, waits_for_host="").values_list("pk", flat=True)
    return list(due().filter(pk__in=waiting)) if waiting else []


def enqueue(record: ActionRecord) -> None:
    """Wake a process that takes actions such as this one, in the caller's transaction."""
    run_next.using(queue_name=_QUEUE_OF.get(record.queue_class, PROMPT)).enqueue()


def sweep() -> int:
    """Let actions go on for which a slot is free, and make entries for what is due; return how many were made.

    As many entries as there are due actions, at most MOST_ENTRIES of a queue. Periodic task: one query when no
    action is open.
    """
    opened = ActionRecord.objects.filter(finished_at=None).order_by()
    found = set(opened.values_list("waits_for_host", "queue_class").distinct())
    for host in sorted({host for host, _ in found} - {""}):
        with transaction.atomic():
            slots.let_go_on(host)
    there = {name for _, name in found}
    return sum(_wake(queue, classes) for queue, classes in CLASSES.items() if there.intersection(classes))


def _wake(queue: str, classes: Collection[QueueClass]) -> int:
    """Make the entries of one queue that are missing; return how many."""
    waiting = [record for name in classes for record in due_of(name)[:MOST_ENTRIES]][:MOST_ENTRIES]
    missing = len(waiting) - work_queue().count_ready(queue, MOST_ENTRIES) if waiting else 0
    for record in waiting[: max(missing, 0)]:
        enqueue(record)
    return max(missing, 0)


def run_until_idle(limit: int = 1000, *, wait: bool = True) -> None:
    """Carry out everything that is due in this process, and sleep until more is due: for tests and scripts.

    Stalled actions, and those that wait for a slot, are left alone. With `wait=False` it never sleeps, so that
    `VirtualClock.on_sleep` may call it. Raises RuntimeError when `limit` passes do not suffice.
    """
    choice = Choice()
    for _ in range(limit):
        lease = choice.claim_next("inline")
        if lease is not None:
            work(lease, heartbeat=False)
            continue
        open_ones = ActionRecord.objects.filter(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN])
        # a stalled action waits for an operator
        waiting = open_ones.filter(known_definitions(), stalled_at=None, waits_for_host="")
        soonest = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        if not wait or soonest is None:
            return
        clock.sleep(max((soonest - clock.now()).total_seconds(), 0) + 0.01)
    raise RuntimeError(f"actions are still due after {limit} passes")
