"""What the definition of an action may write inside the accepting transaction."""

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
from servers.engine.execution.queue import enqueue
from servers.engine.images import is_reserved
from servers.engine.records.changes import take_server_edges, write_migration
from servers.engine.records.facts import migration_facts, server_facts
from servers.errors import Refusal
from servers.fleet.drivers import finished_migration
from servers.microversions import Microversion
from servers.models import ActionRecord, Image, Migration, Server
from servers.models.action import CALLER
from servers.policy import Context
from servers.states import (
    HELD_ACTION_STATUSES,
    OPEN_ACTION_STATUSES,
    ActionStatus,
    MigrationStatus,
    QueueClass,
)

NOT_INHERITED = ("cache_in_nova", "bittorrent")
NOT_INHERITED_PREFIXES = ("cinder_encryption_key_", "img_signature")


@dataclass
class ActionAcceptContext:
    """The implementation of `AcceptContext`. The caller has locked the server's row, and saves `record`.

    The record is saved after the definition's `accept`; that of an IMMEDIATE action before it.
    """

    row: Server
    record: ActionRecord
    context: Context
    params: Mapping[str, Any]
    microversion: Microversion

    @property
    def server(self) -> ServerFacts:
        """Return the facts of the locked server."""
        return server_facts(self.row)

    def create_image(
        self, *, name: str, backup_type: str, metadata: Mapping[str, str], uploaded: bool
    ) -> None:
        """Insert the record of the image that the action will fill, and attach it to the action record.

        The caller's credentials are kept with the action, which is carried out without a token: they say which
        older images it may delete.

        The image belongs to the caller's project, and is shared with the server's project where that is
        another one. It inherits the server's image properties; `metadata` overrides them. Neither says what is
        reserved (`is_reserved`).
        """
        server, foreign = self.row, self.context.project_id != self.row.project_id
        properties = {
            key: value
            for key, value in server.image_properties.items()
            if key not in NOT_INHERITED and not key.startswith(NOT_INHERITED_PREFIXES)
        }
        properties = {key: value for key, value in {**properties, **metadata}.items() if not is_reserved(key)}
        properties["boot_roles"] = ",".join(sorted(self.context.roles))
        if foreign:
            properties["instance_owner"] = server.project_id
        self.record.memo = {**self.record.memo, CALLER: self.context.credentials()}
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
        """Apply `edge` to the migration that waits to be confirmed, and set it as the action record's.

        Raises `missing` when the server has no such migration.
        """
        migration = finished_migration(self.row.uuid)
        if migration is None:
            raise missing
        write_migration(migration, (edge,))
        self.record.migration = migration

    def migration(self, number: int) -> MigrationFacts | None:
        """Return the facts of the server's migration with this number, or None when it has none."""
        found = Migration.objects.filter(pk=number, server=self.row).first()
        return migration_facts(found) if found else None

    def ask_running(self, migration: int, *, cancel: bool) -> None:
        """Ask the open exclusive action of this migration to stop, or else to complete at once.

        Writes the time into that action's record. With `cancel` a queued action becomes due now, before all
        others but such requests, and waits for no slot any more.
        """
        self.record.migration = Migration.objects.get(pk=migration)
        now = clock.now()
        asked = ActionRecord.objects.filter(
            migration_id=migration, exclusive=True, status__in=OPEN_ACTION_STATUSES
        )
        if not cancel:
            asked.update(force_requested_at=now)
            return
        asked.update(cancel_requested_at=now, waits_for_host="", queue_class=QueueClass.STOPPING)
        queued = asked.filter(status=ActionStatus.QUEUED)
        queued.update(due_at=now)
        for action in queued:
            enqueue(action)

    def reset(self, edge: str) -> None:
        """Apply `edge` to the server, end its task, and take over its open exclusive actions.

        A migration that waits to be confirmed ends in status error, and its allocation on the source is
        deleted.
        """
        fields = take_server_edges(self.row, (edge, "end_task"))
        self.row.progress = 0
        self.row.store(*fields, "progress")
        self._settle_waiting_move()
        self._take_over()

    def _settle_waiting_move(self) -> None:
        """End the migrations that wait to be confirmed: the server stays where it is, with one allocation.

        The reconciler removes the old copy of the guest, once it has seen that the guest itself is well.
        """
        waiting = Migration.objects.select_for_update().filter(
            server=self.row, status=MigrationStatus.FINISHED
        )
        for migration in waiting:
            write_migration(migration, ("set_error",))
            claims.finish_move_allocations(self.row.pk, migration.pk, MoveAllocations.TO_DESTINATION)

    def _take_over(self) -> None:
        """Fence the workers of the server's open exclusive actions, and ask these actions to stop.

        A successor worker stops or completes each of them, without writing the server's states.
        """
        running = ActionRecord.objects.select_for_update().filter(
            server=self.row, exclusive=True, status__in=OPEN_ACTION_STATUSES, overtaken_by=None
        )
        for action in running:
            definition = definitions.get(action.slug)  # None: of another version of Gantry
            if definition and not action.begun and definition.exclusivity is Exclusivity.QUEUED:
                continue  # it has begun no step, so it keeps its turn
            if action.status in HELD_ACTION_STATUSES:
                action.apply_edge("requeue")
            action.attempt += 1
            action.lease_until = None
            # the fenced worker gets time to notice before its successor calls the hypervisor
            action.due_at = clock.now() + timedelta(seconds=min(1.0, settings.LEASE_TTL_S / 3))
            action.cancel_requested_at = action.cancel_requested_at or clock.now()
            action.overtaken_by = self.record
            action.stalled_at, action.futile, action.last_progress = None, 0, ""
            action.waits_for_host, action.queue_class = "", QueueClass.STOPPING
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
                    "waits_for_host",
                    "queue_class",
                ]
            )

    def set_lock(self, locked_by: str, reason: str) -> None:
        """Lock the server for `locked_by` ("owner" or "admin") with this reason, or unlock it with ""."""
        self.row.locked_by, self.row.locked_reason = locked_by, reason
        self.row.store("locked_by", "locked_reason")

    def require(self, rule: str) -> None:
        """Check that the policy rule lets the caller act on this server. Raises NotPermitted."""
        policy.in_force().require(self.context, rule, self.row.project_id)
