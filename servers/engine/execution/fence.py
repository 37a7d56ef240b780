"""The fence of an action at work: its lease is proven before each effect, and the journal says that there was one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from servers.drivers.base import Guest


@dataclass(frozen=True)
class ActionFence:
    """In whose name an action changes hosts: that of its migration, of the image that it makes, or its own."""

    owner: UUID
    proof: Callable[[], None]
    proof_alone: Callable[[str], None]

    def prove(self) -> None:
        self.proof()

    def prove_alone(self, guest: Guest, host: str) -> None:
        self.proof_alone(host)
