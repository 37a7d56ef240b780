"""What an action needs of a host, or the fault that says what the host lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from servers.actions.task import Task
from servers.drivers.base import ColdMigration, GuestAgent, LiveMigration, Restore
from servers.errors import AgentUnavailable, BelongsToAnother, MigrationPreCheckError, NotSupported

T = TypeVar("T")


def live_migration(task: Task, host: str) -> LiveMigration:
    """Return the ability of `host` to move running guests. Raises MigrationPreCheckError where it has none."""
    ability = task.driver(host).live_migration
    if ability is None:
        raise MigrationPreCheckError(reason=f"host {host} cannot move a running guest")
    return ability


def cold_migration(task: Task, host: str) -> ColdMigration:
    """Return the ability of `host` to move stopped guests. Raises NotSupported."""
    ability = task.driver(host).cold_migration
    if ability is None:
        raise NotSupported(host=host, verb="move a guest")
    return ability


def restore(task: Task, host: str) -> Restore:
    """Return the ability of `host` to make guests of backups. Raises NotSupported."""
    ability = task.driver(host).restore
    if ability is None:
        raise NotSupported(host=host, verb="make a guest of a backup")
    return ability


def guest_agent(task: Task) -> GuestAgent:
    """Return the way into the guest, on the host where it is now. Raises AgentUnavailable, NotSupported."""
    host = task.server.host
    if host is None:
        raise AgentUnavailable(guest=task.server.name)
    agent = task.driver(host).agent
    if agent is None:
        raise NotSupported(host=host, verb="speak to a guest agent")
    return agent


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
