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
from servers.api.compute.links import next_link
from servers.api.compute.migration_resource import MIGRATION, SERVER_MIGRATION, SERVER_MIGRATION_IN_LIST
from servers.api.compute.paging import Key, is_full, limit_of, page
from servers.api.compute.periods import changed, period_terms
from servers.api.compute.validation import NUMBER, TEXT, Query, Term
from servers.api.idempotency import once
from servers.api.resources import Bodies
from servers.engine.accepting.submit import find_server
from servers.engine.visibility import MIGRATION_HOST
from servers.errors import Invalid, Missing
from servers.models import Migration
from servers.states import MigrationType

RULES = "os_compute_api:os-migrations:index"
SERVER_RULES = "os_compute_api:servers:migrations"
NEWEST_FIRST = (Key("created_at", descending=True), Key("id", descending=True))


class MigrationMarkerUnknown(Invalid):
    """Marker {marker} could not be found."""


class NotInProgress(Missing):
    """Live migration {migration} for server {server} is not in progress."""


class NotLive(Missing):
    """Migration {migration} for server {server} is not live-migration."""


class NoSuchLiveMigration(Missing):
    """In-progress live migration {migration} is not found for server {server}."""


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
        if self.value("host") is not None or self.value("source_compute") is not None:
            self.require(MIGRATION_HOST)  # what nobody is shown is not to be guessed by filters either
        limit = limit_of(self.values) if self.at_least("2.59") else None
        found = page(self.wanted(), NEWEST_FIRST, limit, self.marker())
        body: dict[str, Any] = {"migrations": list(map(Bodies(MIGRATION, self), found))}
        if is_full(found, limit):
            body["migrations_links"] = next_link(request.path_info, request.GET, found[-1].uuid)
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


def of_server(text: str) -> Q:
    """Return the condition that a migration is one of the server with this id."""
    try:
        return Q(server_id=UUID(text))
    except ValueError:
        return Q(pk__in=[])


class ServerMigrationList(NovaView):
    """`GET /servers/{id}/migrations`."""

    @versions("2.23")
    def get(self, request: Request, server_id: str) -> HttpResponse:
        server = find_server(server_id, self.context)
        self.require(f"{SERVER_RULES}:index", server)
        going_on = server.migrations.live_in_progress().filter(hidden=False)
        return self.answer({"migrations": list(map(Bodies(SERVER_MIGRATION_IN_LIST, self), going_on))})


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
        return self.answer({"migration": Bodies(SERVER_MIGRATION, self)(migration)})

    @once(in_transaction=False)
    @versions(registry["abort-migration"].since)
    def delete(self, request: Request, server_id: str, migration_id: str) -> HttpResponse:
        return abort_migration(self, server_id, migration_id)
