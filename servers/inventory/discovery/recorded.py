"""What is recorded of hosts and servers, for discovery to compare with a survey."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from servers.models import ActionRecord, Host, Migration, Server
from servers.states import OPEN_ACTION_STATUSES, MigrationStatus


@dataclass
class Known:
    """What the database says of the fleet, read with as many queries for many servers as for one."""

    hosts: dict[str, Host]
    servers: dict[UUID, Server]
    deleted: frozenset[UUID]
    busy: frozenset[UUID]
    """Servers with an open action. `discover` adds those that changed while hosts were asked."""
    old_copies: dict[UUID, str]
    """The host of a server's old copy, while its migration waits to be confirmed or reverted."""

    @property
    def revisions(self) -> dict[UUID, int]:
        """Return the revision of each server, as it was read."""
        return {uuid: server.revision for uuid, server in self.servers.items()}


def read_known() -> Known:
    """Return what is recorded of all servers that are not deleted; no row is locked."""
    return _read({}, {}, Server.objects.filter(deleted_at=None))


def lock_known(uuids: Collection[UUID]) -> Known:
    """Return what is recorded of these servers, with their rows locked; in the caller's transaction.

    The rows are locked in the order of their keys. All hosts are read, and not locked.
    """
    rows = Server.objects.filter(deleted_at=None, pk__in=uuids).order_by("pk")
    return _read({"pk__in": uuids}, {"server_id__in": uuids}, rows.select_for_update(of=("self",)))


def _read(of_servers: dict[str, Any], of_their_rows: dict[str, Any], rows: QuerySet[Server]) -> Known:
    servers = rows.select_related("host", "flavor").prefetch_related("disks__pool", "interfaces")
    busy = ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES, **of_their_rows)
    waiting = Migration.objects.filter(status=MigrationStatus.FINISHED, **of_their_rows).order_by("pk")
    deleted = Server.objects.exclude(deleted_at=None).filter(**of_servers)
    return Known(
        hosts={host.name: host for host in Host.objects.prefetch_related("pools")},
        servers={server.pk: server for server in servers},
        deleted=frozenset(deleted.values_list("pk", flat=True)),
        busy=frozenset(busy.values_list("server_id", flat=True)),
        old_copies=dict(waiting.values_list("server_id", "source_compute")),
    )


def at_work(read: Mapping[UUID, int], only: Collection[UUID] | None = None) -> frozenset[UUID]:
    """Return the servers that have an open action, or another revision now than in `read`.

    A server that `read` does not have counts only by its action. `only` restricts the servers.
    """
    open_actions = ActionRecord.objects.filter(server=OuterRef("pk"), status__in=OPEN_ACTION_STATUSES)
    rows = Server.objects.filter(deleted_at=None).annotate(is_busy=Exists(open_actions))
    if only is not None:
        rows = rows.filter(pk__in=only)
    return frozenset(
        pk
        for pk, revision, is_busy in rows.values_list("pk", "revision", "is_busy")
        if is_busy or revision != read.get(pk, revision)
    )
