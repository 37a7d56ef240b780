"""One named action carried out in this process: a worker chooses by itself which one comes next."""

from __future__ import annotations

from uuid import UUID

from servers.engine.execution import lease as leases
from servers.engine.execution.run import work


def carry_out(action: UUID, worker: str, *, heartbeat: bool = True) -> bool:
    """Claim the action and work on it until it ends or has to wait; return whether it could be claimed."""
    lease = leases.claim(action, worker)
    if lease is None:
        return False
    work(lease, heartbeat=heartbeat)
    return True
