"""DELETE …/migrations/{id}: abort a live migration."""

from __future__ import annotations

from servers.actions.base import Action, Exclusivity, Parameter, Transition, step
from servers.actions.kinds import MigrationId
from servers.actions.ongoing_migration import ask_migration
from servers.actions.task import AcceptContext, Task
from servers.drivers.base import LiveMigration
from servers.errors import MigrationNotFound, MigrationStatusWrong
from servers.microversions import Microversion
from servers.policy import Role, Rule
from servers.states import MigrationStatus, QueueClass, TaskState

EVENT = "compute_live_migration_abort"
QUEUED_TOO = Microversion.parse("2.65")
RUNNING = frozenset({MigrationStatus.RUNNING})
WAITING = frozenset({MigrationStatus.QUEUED, MigrationStatus.PREPARING})


class AbortMigration(Action):
    """Abort a live migration that waits or runs; the guest stays where it is."""

    wire_name = ""
    record_name = "live_migration_cancel"
    slug = "abort-migration"
    verb = "abort live migration"
    exclusivity = Exclusivity.CONTROL
    queue_class = QueueClass.CONTROL
    since = "2.24"
    on_migration = True
    policy = (Rule("os_compute_api:servers:migrations:delete", Role.MANAGER, "abort a live migration"),)
    parameters = (Parameter("migration", MigrationId(), "number of the migration", in_path=True),)
    transition = Transition(task_states=frozenset({TaskState.MIGRATING}), needs_launched=False)
    refusals = (MigrationNotFound, MigrationStatusWrong)
    events = (EVENT,)
    consequence = "The guest stays on its host and runs on; what was copied is thrown away."
    destructive = True

    def accept(self, accepting: AcceptContext) -> None:
        abortable = RUNNING | WAITING if accepting.microversion >= QUEUED_TOO else RUNNING
        ask_migration(accepting, abortable, MigrationNotFound, verb=self.verb, cancel=True)

    @step(takes=LiveMigration)
    def abort(self, task: Task) -> None:
        with task.event(EVENT, task.migration.source):
            if task.migration.status in RUNNING:
                task.ability(LiveMigration, task.migration.source).abort(task.guest)
