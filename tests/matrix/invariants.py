"""What has to be true in the end, whatever has befallen a worker: records, hypervisors and room say the same."""

from __future__ import annotations

from collections.abc import Iterator

from servers.engine.capacity.claims import needs
from servers.models import ActionRecord, Allocation, Image, Migration, Server
from servers.states import (
    MIGRATION_OVER,
    OPEN_ACTION_STATUSES,
    ActionStatus,
    ImageStatus,
    MigrationStatus,
    VmState,
)
from tests.engine.invariants import is_whole
from tests.matrix.worlds import World

ALIVE = {1, 3}


def problems(world: World) -> list[str]:
    """Return what is not as it has to be."""
    return [*conduct(world), *state(world)]


def conduct(world: World) -> list[str]:
    """Return what should never have happened, whatever became of it."""
    return [*world.leaked, *world.switch.second_starts, *world.changed_late]


def state(world: World) -> list[str]:
    """Return what is wrong with what there is now."""
    servers = Server.objects.filter(deleted_at=None).select_related("host")
    found = [problem for server in servers for problem in ServerTruth(world, server).problems()]
    return [*found, *orphans(world), *actions(), *backups(world)]


def stalled() -> list[ActionRecord]:
    """Return the actions that wait for a person."""
    return list(ActionRecord.objects.filter(status=ActionStatus.UNKNOWN).exclude(stalled_at=None))


class ServerTruth:
    """One server beside its guest, its room and its moves."""

    def __init__(self, world: World, server: Server) -> None:
        self.world = world
        self.server = server
        self.host = server.host.name if server.host else ""
        self.guests = world.guests_of(server)
        self.alive = [row["host"] for row in self.guests if row["power_state"] in ALIVE]
        self.defined = [row["host"] for row in self.guests if not row["prepared_only"]]
        self.moves = Migration.objects.filter(server=server).order_by("pk")
        self.waiting = self.moves.filter(status=MigrationStatus.FINISHED).last()
        self.is_stalled = any(action.server_id == server.pk for action in stalled())
        self.is_grave = server.vm_state == VmState.ERROR and bool(server.fault_message)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong, with the server's name."""
        for problem in (*self.guest(), *(() if self.is_stalled else self.records())):
            yield f"{self.server.name}: {problem}"

    def guest(self) -> Iterator[str]:
        """Yield what is wrong at the hypervisors: true of a server that waits for a person as well."""
        if len(self.alive) > 1:
            yield f"TWO WRITERS on {self.alive}"
        is_to_come = self.server.vm_state == VmState.BUILDING and self.is_stalled
        if not self.defined and not is_to_come:
            yield "LOST: the guest is defined on no host"
        mine = self.server.pk == self.world.server.pk
        if mine and self.world.ran and not self.alive and not self.is_grave and not self.is_stalled:
            yield f"STOPPED: it ran, and the record says {self.server.vm_state}"

    def records(self) -> Iterator[str]:
        """Yield where records say something else than hypervisors."""
        if self.alive and self.alive[0] != self.host:
            yield f"PLACE: runs on {self.alive[0]}, recorded on {self.host}"
        copies = self.disks_on() if self.is_grave else set()
        if self.defined and not self.alive and self.host not in {*self.defined, *copies}:
            yield f"PLACE: defined on {self.defined}, recorded on {self.host}"
        here = next((row for row in self.guests if row["host"] == self.host), None)
        if here is not None and not here["prepared_only"] and here["power_state"] != self.server.power_state:
            yield f"POWER: {here['power_state']}, recorded as {self.server.power_state}"
        if self.server.task_state:
            yield f"TASK: {self.server.task_state}"
        if self.server.vm_state == VmState.BUILDING:
            yield "STATE: building, and nobody builds"
        if self.server.vm_state == VmState.ERROR and not self.server.fault_message:
            yield "STATE: error without a fault"
        if (self.server.vm_state == VmState.RESIZED) is not (self.waiting is not None) and not self.is_grave:
            yield f"STATE: {self.server.vm_state}, and the move is {self.waiting and self.waiting.status}"
        yield from self.moves_and_leftovers()
        yield from self.room()

    def moves_and_leftovers(self) -> Iterator[str]:
        """Yield moves without an end, and what is left on hosts."""
        for move in self.moves.exclude(status__in=[*MIGRATION_OVER, MigrationStatus.FINISHED]):
            yield f"MIGRATION: {move.status}"
        kept = {self.host, self.waiting.source_compute if self.waiting else self.host}
        if not self.is_grave:
            left = sorted({row["host"] for row in self.guests} - kept)
            if left:
                yield f"LEFT: a copy on {left}"
            copies = self.disks_on() - kept - set(left)
            if copies:
                yield f"LEFT: disks on {sorted(copies)}"
        for job in self.world.rows("job"):
            if job["guest"] == str(self.server.pk) and job["outcome"] == "running":
                yield f"JOB: {job['kind']} runs, and nobody watches"

    def disks_on(self) -> set[str]:
        """Return the hosts that have disks of the guest."""
        return {row["host"] for row in self.world.rows("disk") if row["guest"] == str(self.server.pk)}

    def room(self) -> Iterator[str]:
        """Yield room that is held wrongly."""
        own = [
            (a.host.name, (a.vcpus, a.memory_mb, a.disk_gb))
            for a in Allocation.objects.filter(server=self.server).select_related("host")
        ]
        if own != [(self.host, needs(self.server))]:
            yield f"ROOM: on {self.host}, charged {own}"
        held = [
            (a.migration_id, a.host.name)
            for a in Allocation.objects.filter(migration__server=self.server).select_related("host")
        ]
        wanted = [(self.waiting.pk, self.waiting.source_compute)] if self.waiting else []
        if self.is_grave:  # room for a copy that is still there is rightly held
            held = [(move, host) for move, host in held if host not in {r["host"] for r in self.guests}]
        if held != wanted:
            yield f"ROOM: held by moves {held}, should be {wanted}"


def orphans(world: World) -> Iterator[str]:
    """Yield guests of no server, and room of one that is gone."""
    known = {str(pk) for pk in Server.objects.filter(deleted_at=None).values_list("pk", flat=True)}
    for row in world.rows("guest"):
        if row["uuid"] not in known:
            yield f"ORPHAN: a guest on {row['host']}"
    for room in Allocation.objects.filter(server__deleted_at__isnull=False):
        yield f"ROOM: a deleted server holds {room.host_id}"


def actions() -> Iterator[str]:
    """Yield accepted actions without an end, and events that outlast theirs."""
    waiting = {action.pk for action in stalled()}
    for row in ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exclude(pk__in=waiting):
        yield f"OPEN: {row.slug} is {row.status} in {row.step or 'no step'}, attempt {row.attempt}: {row.error_text}"
    for row in ActionRecord.objects.exclude(status__in=OPEN_ACTION_STATUSES):
        for event in row.events.filter(finished_at=None):
            yield f"EVENT: {event.name} of {row.slug}, which is {row.status}, is open"


def backups(world: World) -> Iterator[str]:
    """Yield images that nobody completes, and backups that are fewer than was promised."""
    for image in Image.objects.filter(status__in=[ImageStatus.QUEUED, ImageStatus.SAVING]):
        if not image.actions.filter(status__in=OPEN_ACTION_STATUSES).exists():
            yield f"IMAGE: {image.name} is {image.status}, and nobody works on it"
    whole = [is_whole(image) for image in Image.objects.filter(status=ImageStatus.ACTIVE)]
    active = sum(whole)
    if not all(whole):
        yield f"BACKUPS: {len(whole) - active} active images are not whole in the store"
    if active < min(world.backups, world.scene.params.get("rotation", world.backups)):
        yield f"BACKUPS: {active} where {world.backups} were"
