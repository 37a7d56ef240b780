"""The words for what a server, a migration, an image and an action are doing: Nova's complete lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    """Statuses of a migration record, in the order in which they come (CONTRACT B.2)."""

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


@dataclass(frozen=True)
class Edge:
    """One permitted transition of one field: `name` is the method that the machine gets for it."""

    name: str
    sources: frozenset[str]
    target: str
    why: str
    """What has happened, in a sentence: the reason why the edge exists."""


def _edge(name: str, sources: Iterable[str], target: str, why: str) -> Edge:
    return Edge(name, frozenset(sources), target, why)


ANY_VM_STATE = list(VmState)
ANY_TASK_STATE = list(TaskState)

VM_EDGES = (
    _edge(
        "await_confirmation",
        [VmState.ACTIVE, VmState.STOPPED],
        VmState.RESIZED,
        "A cold migration has arrived: the old copy is kept until somebody confirms or reverts.",
    ),
    _edge(
        "resume_active",
        [VmState.RESIZED],
        VmState.ACTIVE,
        "The move was confirmed or reverted, and the guest runs, as before the move.",
    ),
    _edge(
        "resume_stopped",
        [VmState.RESIZED, VmState.ACTIVE],
        VmState.STOPPED,
        "The move was confirmed or reverted, and the guest is off, as before the move.",
    ),
    _edge("become_active", [VmState.BUILDING], VmState.ACTIVE, "A restored guest was started."),
    _edge(
        "become_stopped",
        [VmState.BUILDING],
        VmState.STOPPED,
        "A restored guest was made, and is not to be started.",
    ),
    _edge(
        "vanish",
        [VmState.BUILDING],
        VmState.DELETED,
        "A server that was to be restored could not be made: nobody ever had it.",
    ),
    _edge(
        "seen_running",
        [VmState.STOPPED, VmState.PAUSED],
        VmState.ACTIVE,
        "The hypervisor says that the guest runs: the record follows the guest, never the other way.",
    ),
    _edge(
        "seen_stopped",
        [VmState.ACTIVE, VmState.PAUSED],
        VmState.STOPPED,
        "The hypervisor says that the guest is off: the record follows the guest, never the other way.",
    ),
    _edge(
        "reset_active",
        ANY_VM_STATE,
        VmState.ACTIVE,
        "An operator says so (os-resetState); the guest is not touched.",
    ),
    _edge(
        "set_error",
        ANY_VM_STATE,
        VmState.ERROR,
        "The guest is not as its owner left it, or nobody can tell: a person has to look.",
    ),
)

TASK_EDGES = (
    _edge(
        "begin_migrating",
        [TaskState.IDLE],
        TaskState.MIGRATING,
        "A live migration was accepted: nothing else may move the guest meanwhile.",
    ),
    _edge("begin_resize_prep", [TaskState.IDLE], TaskState.RESIZE_PREP, "A cold migration was accepted."),
    _edge(
        "begin_resize_migrating",
        [TaskState.RESIZE_PREP],
        TaskState.RESIZE_MIGRATING,
        "The destination is chosen: the guest is shut down and its disks are copied.",
    ),
    _edge(
        "begin_resize_migrated",
        [TaskState.RESIZE_MIGRATING],
        TaskState.RESIZE_MIGRATED,
        "The disks are at the destination; the guest is off on both hosts.",
    ),
    _edge(
        "begin_resize_finish",
        [TaskState.RESIZE_MIGRATED],
        TaskState.RESIZE_FINISH,
        "The guest is being started at the destination: from here there is no way back.",
    ),
    _edge("begin_reverting", [TaskState.IDLE], TaskState.RESIZE_REVERTING, "A revert was accepted."),
    _edge(
        "begin_powering_off",
        [TaskState.RESIZE_REVERTING],
        TaskState.POWERING_OFF,
        "The guest at the destination is being shut down, before its old copy is started.",
    ),
    _edge("begin_backup", [TaskState.IDLE], TaskState.IMAGE_BACKUP, "A backup was accepted."),
    _edge(
        "begin_pending_upload",
        [TaskState.IMAGE_BACKUP],
        TaskState.IMAGE_PENDING_UPLOAD,
        "The disk is copied; its bytes wait to be stored.",
    ),
    _edge(
        "begin_uploading",
        [TaskState.IMAGE_PENDING_UPLOAD],
        TaskState.IMAGE_UPLOADING,
        "The bytes are on their way into the store.",
    ),
    _edge(
        "begin_updating_password",
        [TaskState.IDLE],
        TaskState.UPDATING_PASSWORD,
        "A new password is on its way to the guest's agent.",
    ),
    _edge(
        "end_task",
        ANY_TASK_STATE,
        TaskState.IDLE,
        "The action is over, however it ended, or was taken over: others may begin.",
    ),
)

_BEFORE_MOVE = [
    MigrationStatus.ACCEPTED,
    MigrationStatus.QUEUED,
    MigrationStatus.PREPARING,
    MigrationStatus.PRE_MIGRATING,
]
_MOVING = [
    MigrationStatus.RUNNING,
    MigrationStatus.MIGRATING,
    MigrationStatus.POST_MIGRATING,
    MigrationStatus.CONFIRMING,
    MigrationStatus.REVERTING,
]

MIGRATION_EDGES = (
    _edge(
        "queue",
        [MigrationStatus.ACCEPTED],
        MigrationStatus.QUEUED,
        "The host was chosen and the move waits for its turn there; it can be aborted without a trace.",
    ),
    _edge(
        "prepare",
        [MigrationStatus.QUEUED],
        MigrationStatus.PREPARING,
        "The destination makes itself ready; the guest runs on at the source.",
    ),
    _edge("run", [MigrationStatus.PREPARING], MigrationStatus.RUNNING, "libvirt copies memory and disks."),
    _edge(
        "complete", [MigrationStatus.RUNNING], MigrationStatus.COMPLETED, "The guest runs at the destination."
    ),
    _edge(
        "migrate",
        [MigrationStatus.PRE_MIGRATING],
        MigrationStatus.MIGRATING,
        "A cold move begins to shut the guest down and to copy its disks.",
    ),
    _edge(
        "post_migrate",
        [MigrationStatus.MIGRATING],
        MigrationStatus.POST_MIGRATING,
        "All disks are at the destination and verified.",
    ),
    _edge(
        "finish",
        [MigrationStatus.POST_MIGRATING],
        MigrationStatus.FINISHED,
        "The guest was started there; the old copy waits for somebody's decision.",
    ),
    _edge(
        "confirm",
        [MigrationStatus.FINISHED],
        MigrationStatus.CONFIRMING,
        "Somebody, or the confirm window, wants the old copy gone.",
    ),
    _edge("confirmed", [MigrationStatus.CONFIRMING], MigrationStatus.CONFIRMED, "The old copy is gone."),
    _edge(
        "wait_again",
        [MigrationStatus.CONFIRMING, MigrationStatus.REVERTING],
        MigrationStatus.FINISHED,
        "A confirm or revert failed before it changed anything: the decision is open again.",
    ),
    _edge(
        "revert",
        [MigrationStatus.FINISHED],
        MigrationStatus.REVERTING,
        "Somebody wants the guest back at the source.",
    ),
    _edge(
        "reverted",
        [MigrationStatus.REVERTING],
        MigrationStatus.REVERTED,
        "The guest is at the source as before.",
    ),
    _edge(
        "fail",
        [MigrationStatus.QUEUED, MigrationStatus.PREPARING, MigrationStatus.RUNNING],
        MigrationStatus.FAILED,
        "The checks or the preparation refused the move: the guest was not touched.",
    ),
    _edge(
        "cancel",
        [*_BEFORE_MOVE, *_MOVING],
        MigrationStatus.CANCELLED,
        "Somebody aborted the move, or took the server over, and the guest is where it was.",
    ),
    _edge(
        "set_error",
        [*_BEFORE_MOVE, *_MOVING, MigrationStatus.FINISHED],
        MigrationStatus.ERROR,
        "The move ended otherwise than it was meant to, whatever it had done by then.",
    ),
)

IMAGE_EDGES = (
    _edge("save_data", [ImageStatus.QUEUED], ImageStatus.SAVING, "Bytes come in."),
    _edge(
        "activate",
        [ImageStatus.SAVING],
        ImageStatus.ACTIVE,
        "All bytes are there, and their checksum is known.",
    ),
    _edge(
        "kill",
        [ImageStatus.QUEUED, ImageStatus.SAVING],
        ImageStatus.KILLED,
        "No bytes came, or not all: what came is removed, and the record says so.",
    ),
    _edge(
        "delete_image",
        [ImageStatus.QUEUED, ImageStatus.SAVING, ImageStatus.ACTIVE, ImageStatus.KILLED],
        ImageStatus.DELETED,
        "Somebody deleted it, or it rotated away behind newer backups.",
    ),
)

ACTION_EDGES = (
    _edge(
        "claim",
        [ActionStatus.QUEUED, ActionStatus.RUNNING, ActionStatus.UNKNOWN],
        ActionStatus.RUNNING,
        "A worker takes it: a new one, one that waited, or one whose worker's lease is over.",
    ),
    _edge(
        "requeue",
        [ActionStatus.RUNNING, ActionStatus.UNKNOWN],
        ActionStatus.QUEUED,
        "It waits for its turn, or a fault is expected to pass: it comes again by itself.",
    ),
    _edge(
        "mark_unknown",
        [ActionStatus.RUNNING],
        ActionStatus.UNKNOWN,
        "A hypervisor or the database did not say what became of a step: the next attempt asks first.",
    ),
    _edge(
        "succeed",
        [ActionStatus.RUNNING, ActionStatus.QUEUED],
        ActionStatus.SUCCEEDED,
        "All steps are done, or a person has seen that they are.",
    ),
    _edge(
        "fail",
        [ActionStatus.RUNNING, ActionStatus.QUEUED],
        ActionStatus.FAILED,
        "A fault ended it, and what it had made was undone, or written down.",
    ),
    _edge(
        "cancel",
        [ActionStatus.RUNNING, ActionStatus.QUEUED],
        ActionStatus.CANCELLED,
        "Somebody asked it to stop, and what it had made was undone, or written down.",
    ),
)

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
"""What `GET /servers/{id}/migrations` shows; `accepted` is not in progress (CONTRACT A.4)."""

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
    """Return the `status` that Nova derives from both states (CONTRACT B.1)."""
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
    """What records and hypervisors can differ in; repairs are done in this order."""

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
