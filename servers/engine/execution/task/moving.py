"""Moving a guest between hosts: the implementation of `MovingTask`."""

from __future__ import annotations

from servers import clock
from servers.actions.task import Change
from servers.drivers.base import JobKind
from servers.engine.capacity import claims, slots
from servers.engine.execution.task.placing import Placing
from servers.engine.records import changes
from servers.errors import HypervisorTimeout, Later
from servers.fleet import guest_location
from servers.fleet.drivers import KnownFleet
from servers.models import Migration
from servers.states import MigrationStatus, MigrationType

JOB_POLL_S = 0.5
JOB_LIMIT_S = 60.0
"""Seconds that a move may run on after it was asked to stop; then its outcome is unknown."""


class Moving(Placing):
    """What a step asks of the migration, and of the hosts between which the guest moves."""

    def is_up(self, host: str) -> bool:
        """Return whether the host answered lately, and is not forced down."""
        return KnownFleet().is_up(host)

    def open_migration(self, kind: MigrationType, destination: str = "") -> None:
        """Insert the migration and hand the source's allocation over to it, in one transaction.

        Does nothing when the action has a migration.
        """
        if self.row.migration_id is not None:
            return
        server = self.server_row
        source = self.recorded(self.source)
        with self.fenced():
            first = MigrationStatus.ACCEPTED if kind is MigrationType.LIVE else MigrationStatus.PRE_MIGRATING
            self.row.migration = Migration.objects.create(
                server=server,
                migration_type=kind,
                status=first,
                statuses=[first.value],
                user_id=self.row.user_id,
                project_id=self.row.project_id,
                source_compute=source.name,
                source_node=source.hypervisor_hostname,
                dest_compute=destination,
                old_vm_state=self.row.former_vm_state,
                old_flavor=server.flavor_id,
                new_flavor=server.flavor_id,
            )
            self.save(migration=self.row.migration)
            claims.charge_migration(server.pk, self.row.migration)

    def take_slot(self, edge: str) -> None:
        """Apply `edge` to the migration, when the source may run one more (Nova contract B.6, 8).

        The source's running migrations are counted under the lock of its row. Raises Later when there are
        MAX_CONCURRENT_LIVE_MIGRATIONS: the action waits until one of them ends. Raises Cancelled instead when
        it was asked to stop.
        """
        with self.fenced():
            moving = slots.locked(self.source)
            if self.row.migration_id not in moving and slots.are_taken(moving):
                self.checkpoint()
                reason = f"{len(moving)} migrations run from {self.source}"
                raise Later(reason=reason, delay_s=0, waits_for_host=self.source)
            changes.apply(self.row, Change(migration=(edge,)))
        self.forget_facts()

    def wait_for_job(self, host: str) -> None:
        """Wait until no live migration of the guest runs from `host`, and renew the lease meanwhile.

        Raises HypervisorTimeout after JOB_LIMIT_S, LeaseLost.
        """
        driver, until = self.driver(host), clock.monotonic() + JOB_LIMIT_S
        while (found := driver.find_guest(self.row.server_id)) and found.job is JobKind.LIVE_MIGRATION:
            if clock.monotonic() > until:
                raise HypervisorTimeout(host=host, verb="abort", limit_s=f"{JOB_LIMIT_S:g}")
            self.beat()
            self.renew()
            clock.sleep(JOB_POLL_S)

    def guest_host(self, *hosts: str) -> str | None:
        """Return which of the hosts has the guest, None when none has it; see `guest_location.guest_host`."""
        return guest_location.guest_host(self.server_row, {name: self.driver(name) for name in hosts})
