"""What can be asked of a live migration that is going on: to stop, or to complete at once."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from servers.actions.task import AcceptContext
from servers.errors import MigrationMissing, MigrationNotFound, MigrationStatusWrong
from servers.states import MigrationStatus


def ask_migration(
    accepting: AcceptContext,
    statuses: AbstractSet[MigrationStatus],
    missing: type[MigrationMissing | MigrationNotFound],
    *,
    verb: str,
    cancel: bool,
) -> None:
    """Ask the migration that the request names to stop, or else to complete at once, where it has one of `statuses`.

    Raises `missing`, MigrationStatusWrong.
    """
    number, server = accepting.params["migration"], accepting.server.uuid
    migration = accepting.migration(number)
    if migration is None:
        raise missing(migration=number, server=server)
    if migration.status not in statuses:
        raise MigrationStatusWrong(migration=number, server=server, status=migration.status.value, verb=verb)
    accepting.ask_running(number, cancel=cancel)
