"""createBackup: an image of a server, typed, with rotation."""

from __future__ import annotations

from servers.actions.abilities import instead_of_leftovers
from servers.actions.base import Action, Answer, Example, Exclusivity, Parameter, Request, Transition, step
from servers.actions.kinds import Count, KeyValues, Name, Text
from servers.actions.task import AcceptContext, Change, FleetFacts, ImageTask, ServerFacts, Task
from servers.drivers.base import Backup, Progress
from servers.errors import (
    ActionFault,
    BackupFailed,
    ImageMetadataLimit,
    ImageStoreFault,
    VolumeBacked,
)
from servers.microversions import Microversion
from servers.policy import Role, Rule
from servers.states import QueueClass, VmState

EVENT = "compute_backup_instance"
UNLIMITED_METADATA = Microversion.parse("2.39")


class CreateBackup(Action):
    """Save an image of the server, and keep only the newest ones of its type.

    The guest runs on. The new image is complete and verified before an old one goes; with rotation 0 nothing
    is uploaded and every backup of the type is deleted. Backups that the caller may not delete stay, and do not count.
    """

    wire_name = "createBackup"
    record_name = "createBackup"
    slug = "create-backup"
    exclusivity = Exclusivity.EXCLUSIVE
    respects_lock = False  # a lock protects against loss, not against copying (Nova contract A.3)
    answer = Answer.IMAGE
    queue_class = QueueClass.BACKUPS  # a night's backups must not keep a move waiting
    policy = (Rule("os_compute_api:os-create-backup", Role.MEMBER, "back a server up"),)
    parameters = (
        Parameter("name", Name(), "name of the image"),
        Parameter("backup_type", Text(), "daily, weekly, or any word: rotation counts by it"),
        Parameter("rotation", Count(), "how many backups of this type to keep; 0 deletes them all"),
        Parameter("metadata", KeyValues(), "properties of the image", required=False),
    )
    transition = Transition(
        allowed=frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED}),
        edge="begin_backup",
    )
    refusals = (ImageMetadataLimit, VolumeBacked)
    errors = (BackupFailed, ImageStoreFault)
    edges = ("save_data", "begin_pending_upload", "begin_uploading", "delete_image", "end_task")
    events = (EVENT,)
    examples = (Example("2.1", {"name": "nightly", "backup_type": "daily", "rotation": 1}),)
    consequence = "The guest runs on; its disk is copied, and older backups of this type that you may delete can be deleted."

    def check_request(self, request: Request) -> None:
        limited = request.microversion < UNLIMITED_METADATA
        if limited and len(request.params["metadata"] or {}) > request.image_metadata_limit:
            raise ImageMetadataLimit

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        if server.volume_backed:
            raise VolumeBacked

    def accept(self, accepting: AcceptContext) -> None:
        accepting.create_image(
            name=accepting.params["name"],
            backup_type=accepting.params["backup_type"],
            metadata=accepting.params["metadata"] or {},
            uploaded=accepting.params["rotation"] > 0,
        )

    @step
    def begin(self, task: Task) -> None:
        task.open_event(EVENT, task.source)
        task.record(Change(server=("begin_pending_upload",), image="save_data"))

    @step(touches_guest=True, takes=Backup)
    def copy_disk(self, task: ImageTask) -> None:
        if task.params["rotation"] > 0:
            task.checkpoint()

            def report(progress: Progress) -> None:
                task.report(progress)
                task.checkpoint()

            backup = task.ability(Backup, task.source)
            target = str(task.image_target())
            snapshot = instead_of_leftovers(task, lambda: backup.snapshot(task.guest, target, report))
            task.keep_image(snapshot)
        task.record(Change(server=("begin_uploading",)))

    @copy_disk.undo
    def end_copy(self, task: Task) -> None:
        task.ability(Backup, task.source).discard(task.guest)

    @step(switch=True, may_refuse=True)
    def rotate(self, task: ImageTask) -> None:
        """The switch: once an old backup is deleted, the new one stays, whatever happens."""
        task.rotate_images(task.params["backup_type"], task.params["rotation"])

    def finished(self, task: Task) -> Change:
        return Change(server=("end_task",), progress=0)

    def failed(self, task: Task, fault: ActionFault) -> Change:
        return Change(server=("end_task",), progress=0, fault=fault, image="delete_image")

    def cancelled(self, task: Task) -> Change:
        return Change(server=("end_task",), progress=0, image="delete_image")
