"""How a move of a server looks: in the list of all, and as a live migration that is going on."""

from __future__ import annotations

from servers.api.compute.links import links, microseconds
from servers.api.resources import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Resource,
    fields,
    fixed,
    one_of,
    or_null,
)
from servers.engine.visibility import MIGRATION_HOST
from servers.models import Migration
from servers.states import MigrationStatus, MigrationType

HOST_RULE_OF_SERVER = "os_compute_api:servers:migrations:index:host"


def is_reported(migration: Migration) -> bool:
    """Return whether the hypervisor has told how much there is to move."""
    return bool(migration.memory_total_bytes or migration.disk_total_bytes)


def hosts(rule: str = "") -> tuple[Field, ...]:
    """Return the rows of from where to where; each is null for those whom the rule does not let see hosts."""
    return tuple(
        Field(name, TEXT_OR_NULL, or_null(name), rule=rule, otherwise=None)
        for name in ("source_compute", "dest_compute", "source_node", "dest_node", "dest_host")
    )


COMMON = (
    Field("id", NUMBER, "pk"),
    Field("status", one_of(*MigrationStatus), "status"),
    Field("created_at", TIME, lambda migration: microseconds(migration.created_at)),
    Field("updated_at", TIME_OR_NULL, lambda migration: microseconds(migration.updated_at)),
    Field("uuid", UUID, lambda migration: str(migration.uuid), since="2.59"),
    *fields("user_id project_id", TEXT, since="2.80"),
)
MIGRATION = Resource(
    "Migration",
    (
        *COMMON,
        *hosts(MIGRATION_HOST),
        Field("instance_uuid", UUID, lambda migration: str(migration.server_id)),
        Field("old_instance_type_id", NUMBER_OR_NULL, "old_flavor"),
        Field("new_instance_type_id", NUMBER_OR_NULL, "new_flavor"),
        Field("migration_type", one_of(*MigrationType), "migration_type", since="2.23"),
        links(
            lambda m, view: view.links.both("servers", m.server_id, "migrations", m.pk),
            since="2.23",
            when="is_live_in_progress",
        ),
    ),
    project=fixed(None),  # Nova asks for the caller's own project, whosever the server is
)


def server_migration(rule: str = "") -> Resource:
    """Return the table of a live migration with its counters, which are null until the first report."""
    counters = (
        f"{what}_{part}_bytes" for what in ("memory", "disk") for part in ("total", "processed", "remaining")
    )
    return Resource(
        "ServerMigration",
        (
            *COMMON,
            *hosts(rule),
            Field("server_uuid", UUID, lambda migration: str(migration.server_id)),
            *fields(" ".join(counters), NUMBER_OR_NULL, when=is_reported, otherwise=None),
        ),
        project="server.project_id",
    )


SERVER_MIGRATION = server_migration()
SERVER_MIGRATION_IN_LIST = server_migration(HOST_RULE_OF_SERVER)
