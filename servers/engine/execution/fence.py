"""The fence of an action: its lease is proven, and its journal written, before each effect on a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from servers.drivers.base import Guest


@dataclass(frozen=True)
class ActionFence:
    """The implementation of `Fence` for one attempt at an action; `owner` is that of `ownership.owner_of`."""

    owner: UUID
    proof: Callable[[], None]
    proof_alone: Callable[[str], None]

    def prove(self) -> None:
        """Prove the lease directly before an effect. Raises LeaseLost."""
        self.proof()

    def prove_alone(self, guest: Guest, host: str) -> None:
        """Check that the guest may be started on `host`; see `WorkingTask.prove_alone`."""
        self.proof_alone(host)
