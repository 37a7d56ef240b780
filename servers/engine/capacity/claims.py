"""Room on hosts: who holds it, and how it changes hands (CONTRACT C.5, C.7).

A claim is a conditional write on the host's generation, so two claims for the last place cannot both succeed,
on whatever database and in whatever isolation. What a group promises is about several hosts, so its members claim one
after the other, under the lock of the group (as the databases are used here: READ COMMITTED, or one writer at a time).
Only a claim adds to the room that members hold, and `allocate`, which writes down what is there already, allowed or
not; therefore whoever is about to move a guest to the host that it has claimed asks `group_refuses` once more.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import F

from servers.actions.task import MoveAllocations
from servers.engine.capacity import groups
from servers.engine.capacity.usage import allocated
from servers.errors import AllocationUpdateFailed, ComputeResourcesUnavailable, GroupPolicyViolated
from servers.models import Allocation, Host, Migration, Server

RESOURCES = ("vcpus", "memory_mb", "disk_gb")
UNITS = {"vcpus": "vCPU", "memory_mb": "MiB of memory", "disk_gb": "GiB of disk"}
RETRIES = 5


def needs(server: Server) -> tuple[int, int, int]:
    """Return the vCPUs, MiB and GiB that `server` needs on a host; a volume-backed one needs no root disk there."""
    root_gb = 0 if server.volume_backed else server.root_gb
    return (server.vcpus, server.memory_mb, root_gb + server.ephemeral_gb + server.swap_mb // 1024)


def refuses(host: Host, wanted: tuple[int, int, int]) -> str | None:
    """Return what `host` lacks for `wanted`, or None."""
    for resource, room, taken, need in zip(RESOURCES, host.capacity(), allocated(host), wanted, strict=True):
        if need > getattr(host, resource):  # placement's max_unit: a ratio makes no machine larger
            return f"{need} {UNITS[resource]} wanted, {host.name} has {getattr(host, resource)}"
        if need and taken + need > room:
            return f"{need} {UNITS[resource]} wanted, {max(room - taken, 0)} of {room} free on {host.name}"
    return None


def check(server: Server, host: Host) -> None:
    """Check a host that a server is about to claim, with its group locked. Raises as `claim` does."""
    against_group = groups.refuses(server, host.name)
    if against_group is not None:
        raise GroupPolicyViolated(reason=against_group)
    lack = refuses(host, needs(server))
    if lack is not None:
        raise ComputeResourcesUnavailable(reason=lack)


def claim(server_id: UUID, host_name: str) -> None:
    """Allocate the server's resources on `host_name`. Does nothing when they are allocated there already.

    Locks the server, and after it its group, until the caller's transaction ends (decision 2). Raises
    ComputeResourcesUnavailable when there is no room, GroupPolicyViolated, which is one of those, when the
    server's group does not allow the host, AllocationUpdateFailed when the host was changed too often at the same
    time.
    """
    for _ in range(RETRIES):
        with transaction.atomic():
            server = Server.objects.select_for_update().get(pk=server_id)
            groups.lock(server)
            host = Host.objects.get(name=host_name)
            if Allocation.objects.filter(server=server, host=host).exists():
                return
            check(server, host)
            if bump(host):
                vcpus, memory_mb, disk_gb = needs(server)
                Allocation.objects.create(
                    server=server, host=host, vcpus=vcpus, memory_mb=memory_mb, disk_gb=disk_gb
                )
                return
    raise AllocationUpdateFailed(consumer_uuid=server_id, error=f"host {host_name} changes too often")


def group_refuses(server: Server, host_name: str) -> str | None:
    """Return why a server that has claimed `host_name` must not go there after all, or None.

    To be asked directly before its guest is moved or started there. Since the claim somebody may have changed the
    group, or found another member's guest on that host. The server's own room counts for nothing here, and what it
    may go back to is not asked about: there it was before.
    """
    return groups.refuses(server, host_name)


def bump(host: Host) -> bool:
    """Raise the host's generation if it is still as it was read; return whether it was."""
    rows = Host.objects.filter(pk=host.pk, generation=host.generation).update(generation=F("generation") + 1)
    return rows == 1


def charge_migration(server_id: UUID, migration: Migration) -> None:
    """Let the migration hold what the server holds on its source. Does nothing when it does already."""
    Allocation.objects.filter(server_id=server_id).update(server=None, migration=migration)


def release(server_id: UUID, migration_id: int) -> None:
    """Give back what the server holds on a destination, as long as the migration holds the source."""
    if Allocation.objects.filter(migration_id=migration_id).exists():
        Allocation.objects.filter(server_id=server_id).delete()


def deallocate(server_id: UUID) -> None:
    """Give back what a server holds that is nowhere."""
    Allocation.objects.filter(server_id=server_id).delete()


def finish_move_allocations(server_id: UUID, migration_id: int, outcome: MoveAllocations) -> None:
    """End a move's double charge: MOVE frees the source, RETURN the destination. Twice is as good as once."""
    if outcome is MoveAllocations.BACK_TO_SOURCE:
        release(server_id, migration_id)
        Allocation.objects.filter(migration_id=migration_id).update(server_id=server_id, migration=None)
    else:
        Allocation.objects.filter(migration_id=migration_id).delete()


def allocate(server: Server) -> None:
    """Let the server hold room where it is, whether there was room or not: its guest is there already.

    The host's generation is raised, so that a claim which was counted before this is counted again. No group is
    asked or locked: whether it should be there or not, members that claim later have to see it.
    """
    vcpus, memory_mb, disk_gb = needs(server)
    if server.host_id is None:
        Allocation.objects.filter(server=server).delete()
        return
    sizes = {"host": server.host, "vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb}
    Allocation.objects.update_or_create(server=server, defaults=sizes)
    Host.objects.filter(pk=server.host_id).update(generation=F("generation") + 1)
