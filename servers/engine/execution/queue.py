"""The queue, behind Django's Tasks API, carries the UUID of an action to a worker; the record says the rest.

A lost entry does no harm: `sweep` enqueues every due action again. Actions that can wait (`Action.background`)
have a queue of their own, which one process of several does not serve: an abort never waits for hours of backups.
"""

from __future__ import annotations

import os
import signal
import socket
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django_tasks import task

from servers import clock
from servers.actions import definitions
from servers.deployment.comparison import is_admitted
from servers.deployment.standing import STANDING
from servers.engine.execution.lease import claimable, has_its_turn, known_definitions
from servers.engine.execution.run import carry_out
from servers.models import ActionRecord
from servers.states import ActionStatus

HOST_LENGTH, TOKEN_LENGTH = 32, 12

PROMPT, BACKGROUND = "default", "background"
"""The queues, as the setting TASKS names them."""
LATER = -10
"""The priority of an action that can wait, beside those of the other queue."""
LONG_ENOUGH = timedelta(minutes=10)
"""After so long a wait nothing goes before an action any more because it is more urgent."""


def unique_name(supervisor: str = "") -> str:
    """Return a name that no process has had on any machine: host names and process ids may repeat.

    It begins with the machine's, that of a worker process with its supervisor's.
    """
    return f"{supervisor or socket.gethostname()[:HOST_LENGTH]}-{uuid4().hex[:TOKEN_LENGTH]}"


def beginning_of(name: str) -> str:
    """Return what a name begins with that `unique_name` has made: a machine, or the name of a supervisor."""
    return name.rpartition("-")[0]


_called = [unique_name()]


def work_as(name: str) -> None:
    """Set the name of this process in action records; its supervisor has made the name for it alone."""
    _called[0] = name


def worker_name() -> str:
    """Return the name of this process in action records."""
    return name_of(_called[0], os.getpid())


def name_of(name: str, process: int) -> str:
    """Return the name in action records of the process with this process id that works under `name`."""
    return f"{name}:{process}"


@task()
def run_action(action: str) -> None:
    """Carry out the action with this UUID, then enqueue the actions of its server that are due.

    The task of the queue. Does nothing when the action cannot be claimed. An action that only this process may
    not carry out is left to the next sweep, so that another one takes it.
    """
    if not is_admitted():
        ActionRecord.objects.filter(pk=action).update(enqueued_at=None)
        signal.raise_signal(signal.SIGTERM)  # the supervisor starts it again, and it waits until it may
        return
    if not ActionRecord.objects.filter(STANDING.allowed(), pk=action).exists():
        ActionRecord.objects.filter(pk=action).update(enqueued_at=None)
        return
    if not carry_out(UUID(action), worker_name()):
        return
    server = ActionRecord.objects.values_list("server_id", flat=True).get(pk=action)
    for waiting in due().filter(server_id=server):
        enqueue(waiting)


def enqueue(record: ActionRecord) -> None:
    """Enqueue an action in the caller's transaction, so that no entry is there without its row."""
    now = clock.now()
    ActionRecord.objects.filter(pk=record.pk).update(enqueued_at=now)
    if definitions[record.slug].background:
        priority = LATER if record.due_at > now - LONG_ENOUGH else 0
        run_action.using(queue_name=BACKGROUND, priority=priority).enqueue(str(record.pk))
    else:
        run_action.enqueue(str(record.pk))


def due() -> QuerySet[ActionRecord]:
    """Return the actions that this process could claim now, the oldest first."""
    return ActionRecord.objects.filter(claimable(), known_definitions(), has_its_turn()).order_by(
        "created_at"
    )


def sweep() -> int:
    """Enqueue every due action that was not enqueued lately; return how many were enqueued.

    It was enqueued lately when that was after it became due, and within LEASE_TTL. Periodic task.
    """
    patience = clock.now() - timedelta(seconds=settings.LEASE_TTL_S)
    not_enqueued_lately = Q(enqueued_at=None) | Q(enqueued_at__lt=F("due_at")) | Q(enqueued_at__lt=patience)
    enqueued = 0
    for record in due().filter(not_enqueued_lately):
        enqueue(record)
        enqueued += 1
    return enqueued


def run_until_idle(limit: int = 1000, *, wait: bool = True) -> None:
    """Carry out everything that is due in this process, and sleep until more is due: for tests and scripts.

    Stalled actions are left alone. With `wait=False` it never sleeps, so that `VirtualClock.on_sleep` may
    call it. Raises RuntimeError when `limit` passes do not suffice.
    """
    for _ in range(limit):
        record = due().first()
        if record is not None:
            carry_out(record.pk, "inline", heartbeat=False)
            continue
        open_ones = ActionRecord.objects.filter(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN])
        # a stalled action waits for an operator
        waiting = open_ones.filter(known_definitions(), stalled_at=None)
        soonest = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        if not wait or soonest is None:
            return
        clock.sleep(max((soonest - clock.now()).total_seconds(), 0) + 0.01)
    raise RuntimeError(f"actions are still due after {limit} passes")
