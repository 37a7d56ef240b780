"""Every permitted transition (edge) of a state, each with the reason for it; `make docs` draws them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from servers.states import ActionStatus, ImageStatus, MigrationStatus, TaskState, VmState


@dataclass(frozen=True)
class Edge:
    """One permitted transition of one field. `name` is the method that the state machine gets for it."""

    name: str
    sources: frozenset[str]
    target: str
    why: str
    """What has happened when the edge is taken, in one sentence: the reason why the edge exists."""


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
    _edge(
        "become_active",
        [VmState.BUILDING, VmState.PAUSED],
        VmState.ACTIVE,
        "A restored guest was started, or a paused one goes on.",
    ),
    _edge("become_paused", [VmState.ACTIVE], VmState.PAUSED, "The guest's processors were stopped."),
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
        [TaskState.RESIZE_REVERTING, TaskState.IDLE],
        TaskState.POWERING_OFF,
        "The guest is being shut down: one that was stopped before the move that is reverted, or by itself.",
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
    _edge("begin_pausing", [TaskState.IDLE], TaskState.PAUSING, "A pause was accepted."),
    _edge("begin_unpausing", [TaskState.IDLE], TaskState.UNPAUSING, "An unpause was accepted."),
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
