"""Where an action is accepted: what its definition may write inside the accepting transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from servers import clock, policy
from servers.actions import definitions
from servers.actions.base import Exclusivity
from servers.actions.task import MigrationFacts, MoveAllocations, ServerFacts
from servers.engine.capacity import claims
from servers.engine.records.changes import set_migration_status, take_server_edges
from servers.engine.records.facts import migration_facts, server_facts
from servers.errors import Refusal
from servers.fleet.drivers import finished_migration
from servers.microversions import Microversion
from servers.models import ActionRecord, Image, Migration, Server
from servers.policy import Context
from servers.states import HELD_ACTION_STATUSES, OPEN_ACTION_STATUSES, ActionStatus, MigrationStatus

RESERVED_PROPERTIES = frozenset({"instance_uuid", "user_id", "image_type", "backup_type", "base_image_ref"})
"""What no caller can override, or its backups would escape rotation (CONTRACT F13)."""

NOT_INHERITED = ("cache_in_nova", "bittorrent")
NOT_INHERITED_PREFIXES = ("cinder_encryption_key_", "img_signature", "os_glance")


@dataclass
class ActionAcceptContext:
    """The server's row is locked; the record exists, and is saved after the definition has had its say."""

    row: Server
    record: ActionRecord
    context: Context
    params: Mapping[str, Any]
    microversion: Microversion

    @property
    def server(self) -> ServerFacts:
        return server_facts(self.row)

    def create_image(
        self, *, name: str, backup_type: str, metadata: Mapping[str, str], uploaded: bool
    ) -> None:
        server, foreign = self.row, self.context.project_id != self.row.project_id
        properties = {
            key: value
            for key, value in server.image_properties.items()
            if key not in NOT_INHERITED and not key.startswith(NOT_INHERITED_PREFIXES)
        }
        properties["boot_roles"] = ",".join(sorted(self.context.roles))
        if foreign:
            properties["instance_owner"] = server.project_id
        properties |= {key: value for key, value in metadata.items() if key not in RESERVED_PROPERTIES}
        self.record.image = Image.objects.create(
            name=name,
            project_id=self.context.project_id,
            user_id=self.context.user_id,
            server=server,
            instance_uuid=server.uuid,
            backup_type=backup_type,
            visibility="shared" if foreign else "private",
            min_disk=server.root_gb,
            properties=properties | {"base_image_ref": server.image_ref},
            never_uploaded=not uploaded,
        )

    def take_finished_migration(self, edge: str, missing: Refusal) -> None:
        migration = finished_migration(self.row.uuid)
        if migration is None:
            raise missing
        migration.store(*set_migration_status(migration, (edge,)))
        self.record.migration = migration

    def migration(self, number: int) -> MigrationFacts | None:
        found = Migration.objects.filter(pk=number, server=self.row).first()
        return migration_facts(found) if found else None

    def ask_running(self, migration: int, *, cancel: bool) -> None:
        self.record.migration = Migration.objects.get(pk=migration)
        field = "cancel_requested_at" if cancel else "force_requested_at"
        ActionRecord.objects.filter(
            migration_id=migration, exclusive=True, status__in=OPEN_ACTION_STATUSES
        ).update(**{field: clock.now()})
        if cancel:  # one that waits for a slot must hear of it now
            ActionRecord.objects.filter(
                migration_id=migration, exclusive=True, status=ActionStatus.QUEUED
            ).update(due_at=clock.now())

    def reset(self, edge: str) -> None:
        fields = take_server_edges(self.row, (edge, "end_task"))
        self.row.progress = 0
        self.row.store(*fields, "progress")
        self._settle_waiting_move()
        self._take_over()

    def _settle_waiting_move(self) -> None:
        """End a move that waits for its confirmation: the server is where it is, and owes no other host room.

        The old copy is left to the reconciler, which removes it once it has seen that the guest is well.
        """
        waiting = Migration.objects.select_for_update().filter(
            server=self.row, status=MigrationStatus.FINISHED
        )
        for migration in waiting:
            migration.store(*set_migration_status(migration, ("set_error",)))
            claims.finish_move_allocations(self.row.pk, migration.pk, MoveAllocations.TO_DESTINATION)

    def _take_over(self) -> None:
        """Fence whoever runs an exclusive action; a worker will stop it, or complete it, without touching states."""
        running = ActionRecord.objects.select_for_update().filter(
            server=self.row, exclusive=True, status__in=OPEN_ACTION_STATUSES, overtaken_by=None
        )
        for action in running:
            if not action.begun and definitions[action.slug].exclusivity is Exclusivity.QUEUED:
                continue  # it has touched nothing, and may still have its turn
            if action.status in HELD_ACTION_STATUSES:
                action.apply_edge("requeue")
            action.attempt += 1
            action.lease_until = None
            # a moment's grace lets the fenced worker notice before its successor speaks to the hypervisor
            action.due_at = clock.now() + timedelta(seconds=min(1.0, settings.LEASE_TTL_S / 3))
            action.cancel_requested_at = action.cancel_requested_at or clock.now()
            action.overtaken_by = self.record
            action.stalled_at, action.futile, action.last_progress = None, 0, ""
            action.save(
                update_fields=[
                    "status",
                    "attempt",
                    "lease_until",
                    "due_at",
                    "cancel_requested_at",
                    "overtaken_by",
                    "stalled_at",
                    "futile",
                    "last_progress",
                ]
            )

    def set_lock(self, locked_by: str, reason: str) -> None:
        self.row.locked_by, self.row.locked_reason = locked_by, reason
        self.row.store("locked_by", "locked_reason")

    def require(self, rule: str) -> None:
        policy.in_force().require(self.context, rule, self.row.project_id)
