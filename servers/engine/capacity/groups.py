"""Server groups by what their members hold: rows become plain facts, and a claim has its group to itself."""

from __future__ import annotations

from servers import scheduler
from servers.models import Server, ServerGroup
from servers.scheduler import GroupFacts, Member
from servers.states import VmState


def facts(server: Server) -> GroupFacts | None:
    """Return the server's group as its other members hold room on the hosts, or None where it is in none."""
    if server.group is None:
        return None
    return GroupFacts(
        name=server.group.name,
        policy=server.group.policy,
        max_server_per_host=server.group.max_server_per_host,
        members=other_members(server.group, server),
    )


def other_members(group: ServerGroup, server: Server) -> tuple[Member, ...]:
    """Return the members of `group` beside `server`, each with every host on which it holds room.

    One statement, so that no member is seen between two hosts: a claim may pass from a server to its migration, or
    back, at any moment. A member that holds no room at all is where its record says, unless it is in error; any
    other one in error holds what it holds, because its guest may well run.
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
    """Return why the server's group does not allow it room on `host_name`, or None."""
    group = facts(server)
    return scheduler.group_refuses(group, host_name) if group else None


def lock(server: Server) -> None:
    """Have the server's group to oneself until the transaction ends. Does nothing for a server in none.

    The server's row has to be locked already, and no other server's may be locked after this.
    """
    if server.group_id is not None:
        server.group = ServerGroup.objects.select_for_update(no_key=True).get(pk=server.group_id)
