"""What a worker process leaves when it ends: actions that it holds, and that nobody has to wait for any longer."""

from __future__ import annotations

from datetime import timedelta

import structlog

from servers import clock
from servers.conductor.work import sweep
from servers.models import ActionRecord
from servers.states import ActionStatus

log = structlog.get_logger(__name__)

A_MOMENT = timedelta(microseconds=1)


def release(worker: str) -> int:
    """End the leases of a worker process that is known to be no more, and ring for its actions; return how many.

    `worker` is a name that no other process has, had or will have: `work.worker_name`.
    """
    held = ActionRecord.objects.filter(status=ActionStatus.RUNNING, worker=worker)
    released = held.update(lease_until=clock.now() - A_MOMENT, rung_at=None)
    if released:
        log.info("worker.released", worker=worker, actions=released)
        sweep()
    return released
