"""Moves of servers: `/os-migrations`, and the live migration of one that is going on (Nova contract A.4)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from rest_framework.request import Request

from servers.actions import registry
from servers.api.compute.actions import NO_MIGRATION, abort_migration, migration_number
from servers.api.compute.door import NovaView, versions
from servers.api.compute.links import microseconds, next_link
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.periods import changed, period_terms
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.engine.accepting.submit import find_server
from servers.errors import Invalid, Missing
from servers.models import Migration
from servers.states import MigrationType

RULES = "os_compute_api:os-migrations:index"
SERVER_RULES = "os_compute_api:servers:migrations"
NEWEST_FIRST = (Key("created_at", descending=True), Key("id", descending=True))
HOST_FIELDS = ("source_compute", "dest_compute", "source_node", "dest_node", "dest_host")
COUNTERS = tuple(
    f"{what}_{part}_bytes" for what in ("memory", "disk") for part in ("total", "processed", "remaining")
)


class MigrationMarkerUnknown(Invalid):
    """Marker {marker} could not be found."""


class NotInProgress(Missing):
    """Live migration {migration} for server {server} is not in progress."""


class NotLive(Missing):
    """Migration {migration} for server {server} is not live-migration."""


class NoSuchLiveMigration(Missing):
    """In-progress live migration {migration} is not found for server {server}."""


def host_fields(migration: Migration, *, shown: bool) -> dict[str, str | None]:
    """Return from where to where; each is null for those who may not see hosts."""
    return {name: (getattr(migration, name) or None) if shown else None for name in HOST_FIELDS}


def times(migration: Migration) -> dict[str, str | None]:
    """Return when it was made and changed."""
    return {
        "created_at": microseconds(migration.created_at),
        "updated_at": microseconds(migration.updated_at),
    }


def owner(view: NovaView, migration: Migration) -> dict[str, str]:
    """Return the fields that tell migrations apart, as far as this microversion has them."""
    body: dict[str, str] = {}
    if view.at_least("2.59"):
        body["uuid"] = str(migration.uuid)
    if view.at_least("2.80"):
        body.update(user_id=migration.user_id, project_id=migration.project_id)
    return body


class MigrationList(NovaView):
    """`GET /os-migrations`."""

    query = Query(
        terms=(
            *(Term(n, TEXT) for n in ("hidden", "host", "instance_uuid", "source_compute", "status")),
            Term("migration_type", TEXT),
            Term("limit", NUMBER, since="2.59"),
            Term("marker", TEXT, since="2.59"),
            *period_terms("2.59"),
            Term("user_id", TEXT, since="2.80"),
            Term("project_id", TEXT, since="2.80"),
        ),
        strict="2.59",
    )

    def get(self, request: Request) -> HttpResponse:
        self.require(RULES)
        if self.value("project_id") != self.context.project_id:
            self.require(f"{RULES}:all_projects")
        shown = self.allows(f"{RULES}:host")
        limit = limit_of(self.values) if self.at_least("2.59") else None
        found = page(self.wanted(), NEWEST_FIRST, limit, self.marker())
        body: dict[str, Any] = {"migrations": [self.body_of(m, shown=shown) for m in found]}
        if is_full(found, limit):
            body["migrations_links"] = next_link(request.path, request.GET, found[-1].uuid)
        return self.answer(body)

    def wanted(self) -> Any:
        """Return the migrations that the query asks for. Raises WrongPeriod."""
        rows = Migration.objects.annotate(changed_at=Coalesce("updated_at", "created_at"))
        rows = rows.filter(changed(self.values, "changed_at"), hidden=False)
        for name in ("status", "migration_type", "user_id", "project_id"):
            if self.value(name) is not None:
                rows = rows.filter(**{name: self.value(name)})
        host, source = self.value("host"), self.value("source_compute")
        if host is not None:
            rows = rows.filter(Q(source_compute=host) | Q(dest_compute=host))
        elif source is not None:
            rows = rows.filter(source_compute=source)
        server = self.value("instance_uuid")
        return rows if server is None else rows.filter(of_server(server))

    def marker(self) -> Migration | None:
        """Return the migration after which the page begins. Raises MigrationMarkerUnknown."""
        text = self.value("marker")
        if text is None:
            return None
        try:
            return Migration.objects.get(uuid=UUID(text))
        except (Migration.DoesNotExist, ValueError) as error:
            raise MigrationMarkerUnknown(marker=text) from error

    def body_of(self, migration: Migration, *, shown: bool) -> dict[str, Any]:
        """Return a migration as this list shows it."""
        body: dict[str, Any] = {
            "id": migration.pk,
            "instance_uuid": str(migration.server_id),
            "status": migration.status,
            "old_instance_type_id": migration.old_flavor,
            "new_instance_type_id": migration.new_flavor,
            **host_fields(migration, shown=shown),
            **times(migration),
            **owner(self, migration),
        }
        if self.at_least("2.23"):
            body["migration_type"] = migration.migration_type
            if migration.is_live_in_progress:
                body["links"] = self.links.both("servers", migration.server_id, "migrations", migration.pk)
        return body


def of_server(text: str) -> Q:
    """Return the condition that a migration is one of the server with this id."""
    try:
        return Q(server_id=UUID(text))
    except ValueError:
        return Q(pk__in=[])


def live_body(view: NovaView, migration: Migration, *, shown: bool) -> dict[str, Any]:
    """Return a live migration with its counters, which are null until the first report."""
    reported = migration.memory_total_bytes or migration.disk_total_bytes
    return {
        "id": migration.pk,
        "server_uuid": str(migration.server_id),
        "status": migration.status,
        **host_fields(migration, shown=shown),
        **times(migration),
        **owner(view, migration),
        **{name: getattr(migration, name) if reported else None for name in COUNTERS},
    }


class ServerMigrationList(NovaView):
    """`GET /servers/{id}/migrations`."""

    @versions("2.23")
    def get(self, request: Request, server_id: str) -> HttpResponse:
        server = find_server(server_id, self.context)
        self.require(f"{SERVER_RULES}:index", server)
        shown = self.allows(f"{SERVER_RULES}:index:host", server.project_id)
        going_on = server.migrations.live_in_progress().filter(hidden=False)
        return self.answer({"migrations": [live_body(self, m, shown=shown) for m in going_on]})


class ServerMigration(NovaView):
    """`GET` and `DELETE /servers/{id}/migrations/{id}`."""

    @versions("2.23")
    def get(self, request: Request, server_id: str, migration_id: str) -> HttpResponse:
        server = find_server(server_id, self.context)
        self.require(f"{SERVER_RULES}:show", server)
        number = migration_number(migration_id)
        migration = server.migrations.filter(pk=number).first() if number != NO_MIGRATION else None
        names: dict[str, Any] = {"migration": migration_id, "server": server.uuid}
        if migration is None:
            raise NoSuchLiveMigration(**names)
        if migration.migration_type != MigrationType.LIVE:
            raise NotLive(**names)
        if not migration.is_live_in_progress:
            raise NotInProgress(**names)
        return self.answer({"migration": live_body(self, migration, shown=True)})

    @versions(registry["abort-migration"].since)
    def delete(self, request: Request, server_id: str, migration_id: str) -> HttpResponse:
        return abort_migration(self, server_id, migration_id)
