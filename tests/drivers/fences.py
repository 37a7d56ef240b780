"""Fences for drivers that are tried without an engine: in somebody's name, with what the proofs are to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from servers.drivers.base import Guest
from servers.errors import LeaseLost

OWNER = UUID("0a000000-0000-4000-8000-000000000001")
ANOTHER = UUID("0a000000-0000-4000-8000-000000000002")


@dataclass
class Trusting:
    """Lets everything be done in the name of `owner`, and remembers what was asked."""

    owner: UUID = OWNER
    proven: list[str] = field(default_factory=list)

    def prove(self) -> None:
        self.proven.append("effect")

    def prove_alone(self, guest: Guest, host: str) -> None:
        self.proven.append(f"start on {host}")


@dataclass
class Lost(Trusting):
    """The fence of a worker that has lost its lease."""

    def prove(self) -> None:
        super().prove()
        raise LeaseLost

    def prove_alone(self, guest: Guest, host: str) -> None:
        super().prove_alone(guest, host)
        raise LeaseLost
