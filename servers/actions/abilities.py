"""What several actions do with the abilities of a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from servers.actions.task import AgentTask, Task
from servers.drivers.base import GuestAgent
from servers.errors import AgentUnavailable, BelongsToAnother

T = TypeVar("T")


def guest_agent(task: AgentTask) -> GuestAgent:
    """Return the way into the guest, on the host where it is now. Raises AgentUnavailable, NotSupported."""
    host = task.server.host
    if host is None:
        raise AgentUnavailable(guest=task.server.name)
    return task.ability(GuestAgent, host)


def instead_of_leftovers(task: Task, call: Callable[[], T]) -> T:
    """Return what `call` does at its hosts, in the place of what moves and backups that are over have left there.

    Raises BelongsToAnother where one of them is not over.
    """
    for _ in ("at the source", "at the destination"):
        try:
            return call()
        except BelongsToAnother as fault:
            task.clear_leftover(fault)
    return call()
