"""Allocations on hosts: how they are claimed, handed over and deleted (Nova contract C.5, C.7).

A claim is a conditional write on the host's generation, so two claims for the last capacity cannot both
succeed, on any database and in any isolation level. A group's policy concerns several hosts, so its members
claim one after the other, under the lock of the group (READ COMMITTED, or one writer at a time). `allocate`
adds an allocation too, and asks no group; therefore `group_refuses` is asked again directly before a guest is
moved.
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
    """Return the vCPUs, MiB and GiB that a server needs on a host: no root disk when it is volume-backed."""
    root_gb = 0 if server.volume_backed else server.root_gb
    return (server.vcpus, server.memory_mb, root_gb + server.ephemeral_gb + server.swap_mb // 1024)


def refuses(host: Host, wanted: tuple[int, int, int]) -> str | None:
    """Return which resource `host` lacks for the `wanted` vCPUs, MiB and GiB, or None. Locks nothing."""
    for resource, room, taken, need in zip(RESOURCES, host.capacity(), allocated(host), wanted, strict=True):
        if need > getattr(host, resource):  # placement's max_unit: a ratio enlarges no machine
            return f"{need} {UNITS[resource]} wanted, {host.name} has {getattr(host, resource)}"
        if need and taken + need > room:
            return f"{need} {UNITS[resource]} wanted, {max(room - taken, 0)} of {room} free on {host.name}"
    return None


def check(server: Server, host: Host) -> None:
    """Check that the server may claim `host`; the caller has locked its group.

    Raises GroupPolicyViolated, ComputeResourcesUnavailable.
    """
    against_group = groups.refuses(server, host.name)
    if against_group is not None:
        raise GroupPolicyViolated(reason=against_group)
    lack = refuses(host, needs(server))
    if lack is not None:
        raise ComputeResourcesUnavailable(reason=lack)


def claim(server_id: UUID, host_name: str) -> None:
    """Allocate the server's resources on `host_name`. Does nothing when they are allocated there already.

    Locks the server, and after it its group, until the caller's transaction ends (decision 2). An allocation
    on the source must have been handed to the migration before (`charge_migration`). Raises
    ComputeResourcesUnavailable when capacity is lacking, GroupPolicyViolated (a subclass) when the group does
    not allow the host, AllocationUpdateFailed when other claims changed the host RETRIES times meanwhile.
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
    """Return why the server's group does not allow the host that the server has claimed, or None.

    To be called directly before the guest is moved or started there: since the claim the group may have
    changed, or another member's guest was found on that host. Checks no capacity. Not for the way back to the
    source.
    """
    return groups.refuses(server, host_name)


def bump(host: Host) -> bool:
    """Raise the host's generation by 1 if it is still as it was read; return whether it was."""
    rows = Host.objects.filter(pk=host.pk, generation=host.generation).update(generation=F("generation") + 1)
    return rows == 1


def charge_migration(server_id: UUID, migration: Migration) -> None:
    """Hand the server's allocation on its source over to the migration.

    To be called before the destination is claimed: it takes the allocation that the server holds itself.
    """
    Allocation.objects.filter(server_id=server_id).update(server=None, migration=migration)


def release(server_id: UUID, migration_id: int) -> None:
    """Delete the server's allocation on the destination, if the migration holds the one on the source."""
    if Allocation.objects.filter(migration_id=migration_id).exists():
        Allocation.objects.filter(server_id=server_id).delete()


def deallocate(server_id: UUID) -> None:
    """Delete the allocation that the server holds itself; those of its migrations stay."""
    Allocation.objects.filter(server_id=server_id).delete()


def finish_move_allocations(server_id: UUID, migration_id: int, outcome: MoveAllocations) -> None:
    """End the double allocation of a move. Idempotent.

    TO_DESTINATION deletes the migration's allocation on the source. BACK_TO_SOURCE deletes the server's on
    the destination, and hands the migration's over to the server.
    """
    if outcome is MoveAllocations.BACK_TO_SOURCE:
        release(server_id, migration_id)
        Allocation.objects.filter(migration_id=migration_id).update(server_id=server_id, migration=None)
    else:
        Allocation.objects.filter(migration_id=migration_id).delete()


def allocate(server: Server) -> None:
    """Write the server's allocation on its recorded host, without a check of capacity or group.

    For a guest that is there already; a server without host loses its allocation. Raises the host's
    generation, so that a claim counted before is counted again. Locks no group: claims that come later see
    the allocation.
    """
    vcpus, memory_mb, disk_gb = needs(server)
    if server.host_id is None:
        Allocation.objects.filter(server=server).delete()
        return
    sizes = {"host": server.host, "vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb}
    Allocation.objects.update_or_create(server=server, defaults=sizes)
    Host.objects.filter(pk=server.host_id).update(generation=F("generation") + 1)
