"""Rows as plain facts for action definitions, which never see a model."""

from __future__ import annotations

from servers.actions.task import MigrationFacts, ServerFacts
from servers.models import Migration, Server
from servers.states import MigrationStatus, MigrationType, PowerState


def server_facts(server: Server) -> ServerFacts:
    """Return the facts of a server row, without reading it again."""
    return ServerFacts(
        uuid=server.uuid,
        name=server.name,
        project_id=server.project_id,
        vm_state=server.vm_state,
        task_state=server.task_state,
        power_state=PowerState(server.power_state),
        host=server.host.name if server.host else None,
        locked_by=server.locked_by,
        volume_backed=server.volume_backed,
        launched_at=server.launched_at,
        image_properties=server.image_properties,
        image_ref=server.image_ref,
    )


def migration_facts(migration: Migration) -> MigrationFacts:
    """Return the facts of a migration row, without reading it again."""
    return MigrationFacts(
        id=migration.pk,
        type=MigrationType(migration.migration_type),
        status=MigrationStatus(migration.status),
        source=migration.source_compute,
        destination=migration.dest_compute,
        old_vm_state=migration.old_vm_state,
    )
