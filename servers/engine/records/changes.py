"""Write a `Change` to the rows of an action: server, migration, image and allocations."""

from __future__ import annotations

from uuid import UUID

from servers import clock
from servers.actions.task import Change
from servers.drivers.base import Disk
from servers.edges import IMAGE_EDGES, MIGRATION_EDGES, TASK_EDGES, VM_EDGES, Edge
from servers.engine.capacity import claims, slots
from servers.engine.records import progress
from servers.models import ActionRecord, Host, Image, Migration, Server, ServerDisk, StoragePool
from servers.models.machine import Machine
from servers.states import MIGRATION_OVER, ImageStatus, MigrationStatus, VmState

_VM = {edge.name: edge for edge in VM_EDGES}
_TASK = {edge.name: edge for edge in TASK_EDGES}
_MIGRATION = {edge.name: edge for edge in MIGRATION_EDGES}
_IMAGE = {edge.name: edge for edge in IMAGE_EDGES}


def _take(row: Machine, field: str, edge: Edge) -> bool:
    """Take the edge unless its target is reached already; return whether the row has changed."""
    if getattr(row, field) == edge.target:
        return False
    row.apply_edge(edge.name)
    return True


def take_server_edges(server: Server, names: tuple[str, ...]) -> list[str]:
    """Apply the named edges of vm_state and task_state in memory; return the names of the changed fields.

    An edge whose target is reached already is passed over. The caller writes the fields with `store`. Raises
    TransitionNotAllowed when an edge does not start at the server's state.
    """
    fields = []
    for name in names:
        field, edge = ("vm_state", _VM[name]) if name in _VM else ("task_state", _TASK[name])
        if _take(server, field, edge):
            fields.append(field)
    return fields


def apply(action: ActionRecord, change: Change) -> None:
    """Write `change` to the server, migration, image and allocations of `action`.

    To be called inside `fenced`, which has locked the server; the other rows are locked and read again here.
    When another action has overtaken this one, the server's states and fault stay as they are. May be
    repeated: an edge whose target is reached is passed over. Raises TransitionNotAllowed.
    """
    _apply_to_migration(action, change)
    _apply_to_server(action, change)
    if change.image and action.image_id:
        image = Image.objects.select_for_update().get(pk=action.image_id)
        if _take(image, "status", _IMAGE[change.image]):
            fields = ["status"]
            if image.status == ImageStatus.DELETED:
                image.deleted_at = clock.now()
                fields.append("deleted_at")
            image.store(*fields)
    if change.allocations and action.migration_id:
        claims.finish_move_allocations(action.server_id, action.migration_id, change.allocations)


def _apply_to_server(action: ActionRecord, change: Change) -> None:
    if not change.is_of_server:
        return
    server = Server.objects.select_for_update().get(pk=action.server_id)
    fields = [] if action.overtaken_by_id else take_server_edges(server, change.server)
    if "vm_state" in fields and server.vm_state == VmState.DELETED:
        server.deleted_at = server.terminated_at = clock.now()
        fields += ["deleted_at", "terminated_at"]
    if change.host is not None:
        server.host = Host.objects.get(name=change.host)
        fields.append("host")
        move_disks(server, server.host)
    if change.power_state is not None:
        server.power_state = change.power_state
        server.seen_at = clock.now()
        fields += ["power_state", "seen_at"]
    if change.launched:
        server.launched_at = clock.now()
        fields.append("launched_at")
    if change.progress is not None:
        server.progress = change.progress
        fields.append("progress")
    if change.fault is not None and not action.overtaken_by_id:
        server.fault_code, server.fault_message = change.fault.code, str(change.fault)
        server.fault_at = clock.now()
        fields += ["fault_code", "fault_message", "fault_at"]
    if fields:
        server.store(*fields)


def move_disks(server: Server, host: Host) -> None:
    """Record the server's disks in pools of `host`; for disks whose pool the host does not have.

    The new pool is the one of the same name, else the host's first local one, else a shared one. A disk stays
    where it is recorded when the host has no pool at all. Moves no bytes.
    """
    for disk in server.disks.exclude(pool__hosts=host):
        pools = StoragePool.objects.filter(hosts=host).order_by("shared", "pk")
        pool = pools.filter(name=disk.pool.name).first() or pools.first()
        if pool is not None:
            disk.pool = pool
            disk.save(update_fields=["pool"])


def place_disk(server_id: UUID, host_name: str, disk: Disk) -> None:
    """Record where a server's disk is: insert or update the row of the server and device name.

    The pool is the host's pool of that name, else its first local one, else a shared one; nothing is written
    when the host has none. `size_bytes` and `used_bytes` come from `disk`. Idempotent.
    """
    pools = StoragePool.objects.filter(hosts__name=host_name).order_by("shared", "pk")
    facts = {
        "pool": pools.filter(name=disk.pool).first() or pools.first(),
        "path": disk.path,
        "format": disk.format,
        "size_bytes": disk.size_bytes,
        "used_bytes": disk.used_bytes,
    }
    if facts["pool"] is not None:
        ServerDisk.objects.update_or_create(server_id=server_id, device=disk.device, defaults=facts)


def _apply_to_migration(action: ActionRecord, change: Change) -> None:
    if action.migration_id is None or not (
        change.migration or change.destination or change.downtime_ms is not None
    ):
        return
    migration = Migration.objects.select_for_update().get(pk=action.migration_id)
    fields = []
    if change.destination is not None:
        host = Host.objects.get(name=change.destination)
        migration.dest_compute, migration.dest_node = host.name, host.hypervisor_hostname
        migration.dest_host = host.address
        fields += ["dest_compute", "dest_node", "dest_host"]
    if change.downtime_ms is not None:
        migration.downtime_ms = change.downtime_ms
        fields.append("downtime_ms")
    write_migration(migration, change.migration, *fields)


def write_migration(migration: Migration, names: tuple[str, ...], *fields: str) -> None:
    """Apply the first of the named edges that starts at the locked migration's status; write it, and `fields`.

    An edge whose target is reached is passed over. With the end of a live migration an action may go on that
    waits for a slot of its source. Raises TransitionNotAllowed when no edge starts at the status.
    """
    changed = [*_set_migration_status(migration, names), *fields]
    if changed:
        migration.store(*changed)
    if "status" in changed and migration.status in MIGRATION_OVER and migration.is_live:
        slots.let_go_on(migration.source_compute)


def _set_migration_status(migration: Migration, names: tuple[str, ...]) -> list[str]:
    """Apply the edge in memory, append the status to `statuses`, and return the changed fields."""
    edges = [_MIGRATION[name] for name in names]
    if not edges or migration.status in {edge.target for edge in edges}:
        return []
    edge = next((e for e in edges if migration.status in e.sources), edges[0])
    migration.apply_edge(edge.name)
    migration.statuses = [*migration.statuses, edge.target]
    fields = ["status", "statuses"]
    if edge.target == MigrationStatus.COMPLETED:
        fields += progress.complete(migration)
    if edge.target in MIGRATION_OVER:
        migration.finished_at = clock.now()
        fields.append("finished_at")
    return fields
