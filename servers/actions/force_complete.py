"""force_complete: make a live migration end soon."""

from __future__ import annotations

from servers.actions.base import Action, Body, Exclusivity, Parameter, Shape, Transition, step
from servers.actions.kinds import MigrationId
from servers.actions.ongoing_migration import ask_migration
from servers.actions.task import AcceptContext, Task
from servers.drivers.base import LiveMigration
from servers.errors import MigrationMissing, MigrationStatusWrong
from servers.policy import Role, Rule
from servers.states import MigrationStatus, QueueClass, TaskState, VmState

EVENT = "compute_live_migration_force_complete"
RUNNING = frozenset({MigrationStatus.RUNNING})


class ForceComplete(Action):
    """Make a running live migration end soon, by pausing the guest for the rest of the copy, or by post-copy."""

    wire_name = "force_complete"
    record_name = "live_migration_force_complete"
    slug = "force-complete"
    exclusivity = Exclusivity.CONTROL
    queue_class = QueueClass.CONTROL
    since = "2.22"
    on_migration = True
    policy = (
        Rule(
            "os_compute_api:servers:migrations:force_complete", Role.MANAGER, "force a migration to complete"
        ),
    )
    bodies = (Body(Shape.NULL),)
    parameters = (Parameter("migration", MigrationId(), "number of the migration", in_path=True),)
    transition = Transition(allowed=frozenset({VmState.ACTIVE}), task_states=frozenset({TaskState.MIGRATING}))
    refusals = (MigrationMissing, MigrationStatusWrong)
    events = (EVENT,)
    consequence = "The guest stands still until the rest of its memory is copied."

    def accept(self, accepting: AcceptContext) -> None:
        ask_migration(accepting, RUNNING, MigrationMissing, verb="force complete", cancel=False)

    @step(takes=LiveMigration)
    def force(self, task: Task) -> None:
        with task.event(EVENT, task.migration.source):
            live = task.ability(LiveMigration, task.migration.source)
            task.answer(taken_at_once=live.force_complete(task.guest))
