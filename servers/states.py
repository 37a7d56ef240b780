"""The words for what a server, a migration, an image and an action are doing: Nova's complete lists."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class VmState(StrEnum):
    """The stable state of a server (nova/compute/vm_states.py)."""

    ACTIVE = "active"
    BUILDING = "building"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    RESCUED = "rescued"
    RESIZED = "resized"
    SOFT_DELETED = "soft-delete"
    DELETED = "deleted"
    ERROR = "error"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"


class TaskState(StrEnum):
    """What is being done to a server at this moment (nova/compute/task_states.py).

    IDLE is the empty string in the column, because django-fsm reads None as "stay", and null on the wire.
    """

    IDLE = ""
    SCHEDULING = "scheduling"
    BLOCK_DEVICE_MAPPING = "block_device_mapping"
    NETWORKING = "networking"
    SPAWNING = "spawning"
    IMAGE_SNAPSHOT = "image_snapshot"
    IMAGE_SNAPSHOT_PENDING = "image_snapshot_pending"
    IMAGE_PENDING_UPLOAD = "image_pending_upload"
    IMAGE_UPLOADING = "image_uploading"
    IMAGE_BACKUP = "image_backup"
    UPDATING_PASSWORD = "updating_password"
    RESIZE_PREP = "resize_prep"
    RESIZE_MIGRATING = "resize_migrating"
    RESIZE_MIGRATED = "resize_migrated"
    RESIZE_FINISH = "resize_finish"
    RESIZE_REVERTING = "resize_reverting"
    RESIZE_CONFIRMING = "resize_confirming"
    REBOOTING = "rebooting"
    REBOOT_PENDING = "reboot_pending"
    REBOOT_STARTED = "reboot_started"
    REBOOTING_HARD = "rebooting_hard"
    REBOOT_PENDING_HARD = "reboot_pending_hard"
    REBOOT_STARTED_HARD = "reboot_started_hard"
    PAUSING = "pausing"
    UNPAUSING = "unpausing"
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    RESCUING = "rescuing"
    UNRESCUING = "unrescuing"
    REBUILDING = "rebuilding"
    REBUILD_BLOCK_DEVICE_MAPPING = "rebuild_block_device_mapping"
    REBUILD_SPAWNING = "rebuild_spawning"
    MIGRATING = "migrating"
    DELETING = "deleting"
    SOFT_DELETING = "soft-deleting"
    RESTORING = "restoring"
    SHELVING = "shelving"
    SHELVING_IMAGE_PENDING_UPLOAD = "shelving_image_pending_upload"
    SHELVING_IMAGE_UPLOADING = "shelving_image_uploading"
    SHELVING_OFFLOADING = "shelving_offloading"
    UNSHELVING = "unshelving"


class PowerState(IntEnum):
    """What the hypervisor said of the guest when it was last asked (nova/compute/power_state.py)."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7

    @property
    def word(self) -> str:
        """Return the word that Nova's messages use, "pending" for no state."""
        return "pending" if self is PowerState.NOSTATE else self.name.lower()


class MigrationType(StrEnum):
    LIVE = "live-migration"
    COLD = "migration"
    RESIZE = "resize"
    EVACUATION = "evacuation"


class MigrationStatus(StrEnum):
    """Statuses of a migration record, in the order in which they come (Nova contract B.2)."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    COMPLETED = "completed"
    PRE_MIGRATING = "pre-migrating"
    MIGRATING = "migrating"
    POST_MIGRATING = "post-migrating"
    FINISHED = "finished"
    CONFIRMING = "confirming"
    CONFIRMED = "confirmed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    DONE = "done"
    FAILED = "failed"
    ERROR = "error"
    CANCELLED = "cancelled"


class ImageStatus(StrEnum):
    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    KILLED = "killed"
    DELETED = "deleted"


class ActionStatus(StrEnum):
    """The life of an accepted action. UNKNOWN: a hypervisor did not answer; it will be asked again."""

    QUEUED = "queued"
    RUNNING = "running"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class QueueClass(StrEnum):
    """Which actions go before which others in the queue: those that wait share the workers class by class."""

    CONTROL = "control"
    """A request to an action that runs: before everything else, and by a process of its own."""
    STOPPING = "stopping"
    """What was asked to stop, whatever it was before: next. No definition says so."""
    MOVES = "moves"
    """Moves of guests between hosts."""
    GENERAL = "general"
    """Everything that does not say otherwise."""
    BACKUPS = "backups"
    """What copies for hours and can wait: one process of several does none."""


WEIGHTED_CLASSES = (QueueClass.MOVES, QueueClass.GENERAL, QueueClass.BACKUPS)
"""The classes that share the workers by weights (setting QUEUE_WEIGHTS); of equals the first goes first."""


OPEN_ACTION_STATUSES = frozenset({ActionStatus.QUEUED, ActionStatus.RUNNING, ActionStatus.UNKNOWN})
"""An action in one of these is not over: somebody has it, or will have it."""

HELD_ACTION_STATUSES = frozenset({ActionStatus.RUNNING, ActionStatus.UNKNOWN})
"""At most one exclusive action of a server is in one of these; from an unknown one nothing may be started."""

IN_PROGRESS_LIVE = frozenset(
    {
        MigrationStatus.QUEUED,
        MigrationStatus.PREPARING,
        MigrationStatus.RUNNING,
        MigrationStatus.POST_MIGRATING,
    }
)
"""What `GET /servers/{id}/migrations` shows; `accepted` is not in progress (Nova contract A.4)."""

MIGRATION_OVER = frozenset(
    {
        MigrationStatus.COMPLETED,
        MigrationStatus.CONFIRMED,
        MigrationStatus.REVERTED,
        MigrationStatus.DONE,
        MigrationStatus.FAILED,
        MigrationStatus.ERROR,
        MigrationStatus.CANCELLED,
    }
)
"""Terminal statuses; `finished` is not one of them, because the server waits in VERIFY_RESIZE."""

_RESIZING = dict.fromkeys(
    (TaskState.RESIZE_PREP, TaskState.RESIZE_MIGRATING, TaskState.RESIZE_MIGRATED, TaskState.RESIZE_FINISH),
    "RESIZE",
)
_REBUILDING = dict.fromkeys(
    (TaskState.REBUILDING, TaskState.REBUILD_BLOCK_DEVICE_MAPPING, TaskState.REBUILD_SPAWNING), "REBUILD"
)
_SOFT_REBOOT = dict.fromkeys(
    (TaskState.REBOOTING, TaskState.REBOOT_PENDING, TaskState.REBOOT_STARTED), "REBOOT"
)
_HARD_REBOOT = dict.fromkeys(
    (TaskState.REBOOTING_HARD, TaskState.REBOOT_PENDING_HARD, TaskState.REBOOT_STARTED_HARD), "HARD_REBOOT"
)

_STATUS: dict[VmState, tuple[str, dict[TaskState, str]]] = {  # nova/api/openstack/common.py _STATE_MAP
    VmState.ACTIVE: (
        "ACTIVE",
        {
            TaskState.MIGRATING: "MIGRATING",
            TaskState.UPDATING_PASSWORD: "PASSWORD",
            **_RESIZING,
            **_REBUILDING,
            **_SOFT_REBOOT,
            **_HARD_REBOOT,
        },
    ),
    VmState.BUILDING: ("BUILD", {}),
    VmState.STOPPED: ("SHUTOFF", {**_RESIZING, **_REBUILDING}),
    VmState.RESIZED: ("VERIFY_RESIZE", {TaskState.RESIZE_REVERTING: "REVERT_RESIZE"}),
    VmState.PAUSED: ("PAUSED", {TaskState.MIGRATING: "MIGRATING"}),
    VmState.SUSPENDED: ("SUSPENDED", {}),
    VmState.RESCUED: ("RESCUE", {}),
    VmState.ERROR: ("ERROR", _REBUILDING),
    VmState.DELETED: ("DELETED", {}),
    VmState.SOFT_DELETED: ("SOFT_DELETED", {}),
    VmState.SHELVED: ("SHELVED", {}),
    VmState.SHELVED_OFFLOADED: ("SHELVED_OFFLOADED", {}),
}


def server_status(vm_state: VmState, task_state: TaskState) -> str:
    """Return the `status` that Nova derives from both states (Nova contract B.1)."""
    default, by_task = _STATUS[vm_state]
    return by_task.get(task_state, default)


def states_for_status(status: str) -> list[tuple[VmState, frozenset[TaskState]]]:
    """Return every vm_state that can show `status`, each with the task states that make it do so."""
    found = []
    for vm_state, (default, by_task) in _STATUS.items():
        tasks = frozenset(t for t in TaskState if by_task.get(t, default) == status)
        if tasks:
            found.append((vm_state, tasks))
    return found


class DifferenceKind(StrEnum):
    """What records and hypervisors can differ in."""

    GUEST_TWICE = "guest_twice"
    GUEST_MISSING = "guest_missing"
    GUEST_ELSEWHERE = "guest_elsewhere"
    COPY_LEFT = "copy_left"
    POWER_STATE = "power_state"
    TASK_WITHOUT_ACTION = "task_without_action"
    MIGRATION_WITHOUT_ACTION = "migration_without_action"
    MOVE_WAITS_FOR_NOBODY = "move_waits_for_nobody"
    ALLOCATION_MISSING = "allocation_missing"
    ALLOCATION_WRONG = "allocation_wrong"
    ALLOCATION_LEFT = "allocation_left"
    DESTINATION_LEFT = "destination_left"
    UNDO_LEFT = "undo_left"
    ACTION_WITHOUT_WORKER = "action_without_worker"
    NOT_COMPARED = "not_compared"
