"""What a dead worker process leaves behind: leases, which need not run out before others take its actions."""

from __future__ import annotations

import structlog

from servers.engine.execution import lease as leases
from servers.engine.execution.queue import sweep

log = structlog.get_logger(__name__)


def release(worker: str) -> int:
    """End the leases of a worker process that is known to be dead, and wake others for its actions; return how many.

    `worker` is its name by `queue.name_of`. No other process may ever have that name: its leases would end as
    well.
    """
    released = leases.release(worker)
    if released:
        log.info("worker.released", worker=worker, actions=released)
        sweep()
    return released
