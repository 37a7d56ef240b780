"""Server groups by the allocations of their members: rows become plain facts, and a claim locks its group."""

from __future__ import annotations

from servers import scheduler
from servers.models import Server, ServerGroup
from servers.scheduler import GroupFacts, Member
from servers.states import VmState


def facts(server: Server) -> GroupFacts | None:
    """Return the server's group with the allocations of its other members, or None when it is in none."""
    if server.group is None:
        return None
    return GroupFacts(
        name=server.group.name,
        policy=server.group.policy,
        max_server_per_host=server.group.max_server_per_host,
        members=other_members(server.group, server),
    )


def other_members(group: ServerGroup, server: Server) -> tuple[Member, ...]:
    """Return the members of `group` but `server`, each with every host on which it holds an allocation.

    One statement, so that no member is missed: its allocation may be handed over to a migration, or back, at
    any moment. A member without any allocation counts on its recorded host, unless it is in vm_state ERROR. A
    member in ERROR counts by its allocations, because its guest may run.
    """
    others = group.servers.exclude(pk=server.pk).filter(deleted_at=None).order_by()
    by_itself = others.filter(allocations__isnull=False)
    by_a_move = others.filter(migrations__allocations__isnull=False)
    noted = others.exclude(host=None).exclude(vm_state=VmState.ERROR)
    noted = noted.exclude(pk__in=by_itself.values("pk")).exclude(pk__in=by_a_move.values("pk"))
    rows = by_itself.values_list("pk", "name", "allocations__host__name").union(
        by_a_move.values_list("pk", "name", "migrations__allocations__host__name"),
        noted.values_list("pk", "name", "host__name"),
    )
    found: dict[tuple[object, str], set[str]] = {}
    for key, name, host in rows:
        found.setdefault((key, name), set()).add(host)
    return tuple(Member(name, frozenset(hosts)) for (_, name), hosts in found.items())


def refuses(server: Server, host_name: str) -> str | None:
    """Return why the server's group does not allow it an allocation on `host_name`, or None."""
    group = facts(server)
    return scheduler.group_refuses(group, host_name) if group else None


def lock(server: Server) -> None:
    """Lock the server's group until the caller's transaction ends; does nothing when it is in none.

    The server's row must be locked before, and no other server's row may be locked after this (decision 2).
    """
    if server.group_id is not None:
        server.group = ServerGroup.objects.select_for_update(no_key=True).get(pk=server.group_id)
