"""A queue behind Django's Tasks API carries the id of an action to a worker; the action's row says the rest.

An entry that is lost does not matter: `sweep` enqueues again whatever is due, be it new, put back, or left by a
worker that was killed.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django_tasks import task

from servers import clock
from servers.engine.execution.lease import claimable, has_its_turn, known_definitions
from servers.engine.execution.run import carry_out
from servers.models import ActionRecord
from servers.states import ActionStatus

HOST_LENGTH, TOKEN_LENGTH = 32, 12


def unique_name() -> str:
    """Return a name that no process has had on any machine: hosts may be called alike, and numbers come again."""
    return f"{socket.gethostname()[:HOST_LENGTH]}-{uuid4().hex[:TOKEN_LENGTH]}"


_called = [unique_name()]


def work_as(name: str) -> None:
    """Let this process be called so in the records: by a name that its supervisor has made for it alone."""
    _called[0] = name


def worker_name() -> str:
    """Return what this process is called in the records."""
    return name_of(_called[0], os.getpid())


def name_of(name: str, process: int) -> str:
    """Return what the process with this number is called in the records when it works under `name`."""
    return f"{name}:{process}"


@task()
def run_action(action: str) -> None:
    """Work on the action, and then on the next one of its server that has waited for it."""
    if not carry_out(UUID(action), worker_name()):
        return
    server = ActionRecord.objects.values_list("server_id", flat=True).get(pk=action)
    for waiting in due().filter(server_id=server):
        enqueue(waiting)


def enqueue(record: ActionRecord) -> None:
    """Enqueue an action, in the caller's transaction: no entry is ever without its row."""
    ActionRecord.objects.filter(pk=record.pk).update(enqueued_at=clock.now())
    run_action.enqueue(str(record.pk))


def due() -> QuerySet[ActionRecord]:
    """Return the actions that somebody could claim at this moment."""
    return ActionRecord.objects.filter(claimable(), known_definitions(), has_its_turn()).order_by(
        "created_at"
    )


def sweep() -> int:
    """Enqueue every due action that was not enqueued lately; return how many that were."""
    patience = clock.now() - timedelta(seconds=settings.LEASE_TTL_S)
    not_enqueued_lately = Q(enqueued_at=None) | Q(enqueued_at__lt=F("due_at")) | Q(enqueued_at__lt=patience)
    enqueued = 0
    for record in due().filter(not_enqueued_lately):
        enqueue(record)
        enqueued += 1
    return enqueued


def run_until_idle(limit: int = 1000, *, wait: bool = True) -> None:
    """Work on everything that is due, in this process, and wait for what is not due yet: for tests and scripts.

    Without `wait` it does only what is due at this moment, and may be called from within.
    """
    for _ in range(limit):
        record = due().first()
        if record is not None:
            carry_out(record.pk, "inline", heartbeat=False)
            continue
        open_ones = ActionRecord.objects.filter(status__in=[ActionStatus.QUEUED, ActionStatus.UNKNOWN])
        waiting = open_ones.filter(stalled_at=None)  # the others wait for a person
        soonest = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        if not wait or soonest is None:
            return
        clock.sleep(max((soonest - clock.now()).total_seconds(), 0) + 0.01)
    raise RuntimeError(f"actions are still due after {limit} rounds")
