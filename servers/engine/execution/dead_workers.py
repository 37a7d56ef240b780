"""What a worker process leaves when it ends: actions that it holds, and that nobody has to wait for any longer."""

from __future__ import annotations

import structlog

from servers.engine.execution import lease as leases
from servers.engine.execution.queue import sweep
from servers.models import ActionRecord
from servers.states import ActionStatus

log = structlog.get_logger(__name__)


def release(worker: str) -> int:
    """End the leases of a worker process that is known to be no more, and enqueue its actions again; return how many.

    `worker` is a name that no other process has, had or will have: `work.worker_name`.
    """
    ActionRecord.objects.filter(status=ActionStatus.RUNNING, worker=worker).update(enqueued_at=None)
    released = leases.release(worker)
    if released:
        log.info("worker.released", worker=worker, actions=released)
        sweep()
    return released
