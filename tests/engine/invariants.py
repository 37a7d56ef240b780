"""What has to be true of every life once there is peace: each question returns what is wrong, or nothing."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from servers.drivers.simulated.store import transaction as fleet_store
from servers.engine import images
from servers.errors import ImageMissing
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionEvent, ActionRecord, Allocation, Image, Migration, Server
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES, ActionStatus, MigrationStatus, VmState
from tests.engine.life import Life

GROUPS = True
"""Whether promises of placement are kept among moves under way."""


def broken(life: Life) -> list[str]:
    """Return everything that is wrong after a life, when the reconciler has had its passes."""
    return [
        *life.twice,
        *still_to_repair(),
        *unended(life),
        *lost_guests(life),
        *misplaced(life),
        *wrong_room(),
        *left_over(life),
        *missing_backups(life),
        *(crowded() if GROUPS else ()),
    ]


def still_to_repair() -> list[str]:
    """Reconcile until nothing is safe to repair; return what still is after three passes.

    One removes what is left on hosts, the next gives back the room that it held.
    """
    safe: list[str] = []
    for _ in range(4):
        safe = [
            f"still to repair: {f.finding.what} ({f.outcome})" for f in reconcile().found if f.finding.safe
        ]
        if not safe:
            break
    return safe


def stalled(server: Server) -> bool:
    """Return whether an action of the server waits for a person."""
    return ActionRecord.objects.filter(server=server, status__in=OPEN_ACTION_STATUSES).exists()


def unended(life: Life) -> Iterator[str]:
    """Yield actions without exactly one end, and what is open of those that have ended."""
    for record in ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES):
        if record.status != ActionStatus.UNKNOWN or record.stalled_at is None:
            yield f"{record.slug} is {record.status}, attempt {record.attempt}: {record.error_text}"
    yield from (f"action {pk} has ended twice" for pk in life.double_ends)
    there = set(ActionRecord.objects.values_list("pk", flat=True)) | {pk for pk, _ in life.ends}
    for pk, (slug, _) in life.accepted.items():
        if pk not in there and slug not in IMMEDIATE:
            yield f"{slug} has gone without an end"
    for event in ActionEvent.objects.filter(finished_at=None).exclude(
        action__status__in=OPEN_ACTION_STATUSES
    ):
        yield f"event {event.name} of {event.action.slug} is open, which is over"


IMMEDIATE = frozenset({"lock", "unlock", "reset-state"})


def lost_guests(life: Life) -> Iterator[str]:
    """Yield guests that are nowhere, that stand still though nobody said so, or whose disk is another one."""
    for server in Server.objects.filter(deleted_at=None):
        hosts = life.fleet.simulation.defined_on(server.pk)
        runs = life.fleet.simulation.running_on(server.pk)
        if stalled(server) and server.vm_state == VmState.BUILDING:
            continue
        if not hosts:
            yield f"{server.name} is lost ({server.vm_state})"
            continue
        excused = server.pk in life.excused or stalled(server) or server.name == "again"
        if runs is None and not excused:
            yield f"{server.name} stands still ({server.vm_state}) on {hosts}"
        kept = {life.fleet.simulation.disk_md5(host, server.pk) for host in ([runs] if runs else hosts)}
        if not kept & {life.contents.get(server.pk, next(iter(kept)))}:
            yield f"the disk of {server.name} is another one"


def misplaced(life: Life) -> Iterator[str]:
    """Yield servers whose record says another host than their hypervisor, and whose task is nobody's."""
    for server in Server.objects.select_related("host").filter(deleted_at=None):
        if stalled(server):
            continue
        runs = life.fleet.simulation.running_on(server.pk)
        if runs and (server.host is None or server.host.name != runs):
            yield f"{server.name} runs on {runs}, is recorded on {server.host}"
        if server.task_state:
            yield f"{server.name} has the task {server.task_state}"
    for move in Migration.objects.exclude(status__in=MIGRATION_OVER):
        waits = move.status == MigrationStatus.FINISHED
        if not waits and not stalled(move.server):
            yield f"a migration of {move.server.name} is {move.status}"


def wrong_room() -> Iterator[str]:
    """Yield rooms that are not those of a server where it is, or of a move that is not over."""
    for server in Server.objects.select_related("host"):
        if stalled(server):
            continue
        held = sorted(Allocation.objects.filter(server=server).values_list("host__name", flat=True))
        expected = [server.host.name] if server.host and server.deleted_at is None else []
        if held != expected:
            yield f"{server.name} on {expected} holds room on {held}"
    for room in Allocation.objects.exclude(migration=None).select_related("migration__server", "host"):
        if room.migration.status in MIGRATION_OVER and not stalled(room.migration.server):
            yield f"a move that is {room.migration.status} holds room on {room.host.name}"


def left_over(life: Life) -> Iterator[str]:
    """Yield images that nobody finishes, and what has been left on hosts; of a server in error a person decides."""
    for image in Image.objects.filter(status__in=["queued", "saving"]):
        if not image.actions.filter(status__in=OPEN_ACTION_STATUSES).exists():
            yield f"an image is {image.status}, and nobody makes it"
    alive = {str(s.pk): s for s in Server.objects.filter(deleted_at=None)}
    busy = {uuid for uuid, s in alive.items() if stalled(s) or s.pk in life.excused}
    with fleet_store(settings.SIMULATED_FLEET) as db:
        guests = db.execute("SELECT host, uuid, prepared_only FROM guest").fetchall()
        disks = db.execute("SELECT host, guest FROM disk").fetchall()
        jobs = db.execute("SELECT guest, kind FROM job WHERE outcome = 'running'").fetchall()
    there = {(guest["host"], guest["uuid"]) for guest in guests}
    yield from (f"{host} has a guest of nobody" for host, uuid in there if uuid not in alive)
    for guest in guests:
        if guest["prepared_only"] and guest["uuid"] not in busy:
            yield f"{guest['host']} is prepared for {alive.get(guest['uuid'])}"
    for disk in disks:
        if (disk["host"], disk["guest"]) not in there and disk["guest"] not in busy:
            yield f"{disk['host']} keeps disks of {alive.get(disk['guest'])}, which is not there"
    yield from (
        f"a job runs for {alive.get(j['guest'])}: {j['kind']}" for j in jobs if j["guest"] not in busy
    )


def missing_backups(life: Life) -> Iterator[str]:
    """Yield servers with fewer backups than their rotations have promised."""
    for server in life.servers:
        floor = promised(life, server)
        there = [i for i in Image.objects.filter(server=server, status="active") if is_whole(i)]
        if len(there) < floor:
            yield f"{server.name} has {len(there)} backups, {floor} were promised"


def promised(life: Life, server: Server) -> int:
    """Return how many backups the server has at least, by what was accepted and how it has ended."""
    floor, ends = 0, dict(life.ends)
    for pk, rotation in life.rotations.items():
        if life.accepted[pk][1] != server.pk:
            continue
        if ends.get(pk) == "succeed":
            floor = min(floor + 1, rotation)
        elif pk not in ends:
            floor = min(floor, rotation)
    return floor


def is_whole(image: Image) -> bool:
    """Return whether the store has what was saved."""
    try:
        return images.store().look(image.pk).size_bytes == image.size_bytes
    except ImageMissing:
        return False


def crowded() -> Iterator[str]:
    """Yield hosts on which servers are together that are to stay apart."""
    hosts = Server.objects.exclude(group=None).filter(deleted_at=None).values_list("host__name", flat=True)
    taken = list(hosts)
    if len(set(taken)) < len(taken):
        yield f"servers that are to stay apart are on {sorted(taken)}"
