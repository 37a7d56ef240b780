"""In whatever order members claim, move, arrive, fail and are found: no claim breaks what their group promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.actions.task import MoveAllocations
from servers.engine.capacity import claims
from servers.errors import ComputeResourcesUnavailable
from servers.models import Allocation, Host, Migration, Server, ServerGroup
from servers.states import MigrationStatus
from tests.factories import make_host, make_project, make_server

HOSTS = ("node1", "node2", "node3")
MEMBERS = 3
GROUPS: dict[str, dict[str, Any]] = {
    "apart": {"policy": "anti-affinity"},
    "two by two": {"policy": "anti-affinity", "max_server_per_host": 2},
    "together": {"policy": "affinity"},
}


def open_move(server: Server) -> Migration | None:
    return server.migrations.exclude(status=MigrationStatus.COMPLETED).first()


def claim(server: Server, host: Host) -> None:
    """Set out for a host, or have it instead of the one that was claimed; or be made on it."""
    if server.host == host:
        return
    if server.host is not None and open_move(server) is None:
        move = Migration.objects.create(server=server, source_compute=server.host.name, status="running")
        claims.charge_migration(server.pk, move)
    release(server, host)
    with suppress(ComputeResourcesUnavailable):
        claims.claim(server.pk, host.name)


def release(server: Server, host: Host) -> None:
    """Give a destination up."""
    move = open_move(server)
    if move is not None:
        claims.release(server.pk, move.pk)
    elif server.host is None:
        claims.deallocate(server.pk)


def arrive(server: Server, host: Host) -> None:
    """Be where room was claimed, for good."""
    held, move = Allocation.objects.filter(server=server).first(), open_move(server)
    if held is not None:
        Server.objects.filter(pk=server.pk).update(host=held.host)
        if move is not None:
            finish(server, move, MoveAllocations.TO_DESTINATION)


def fail(server: Server, host: Host) -> None:
    """Stay where one was."""
    move = open_move(server)
    if move is not None:
        finish(server, move, MoveAllocations.BACK_TO_SOURCE)


def finish(server: Server, move: Migration, charge: MoveAllocations) -> None:
    for _ in range(2):  # twice is as good as once
        claims.finish_move_allocations(server.pk, move.pk, charge)
    Migration.objects.filter(pk=move.pk).update(status=MigrationStatus.COMPLETED)


def be_found(server: Server, host: Host) -> None:
    """Be found on a host by discovery, allowed there or not."""
    if open_move(server) is None:
        server.host = host
        server.store("host")
        claims.allocate(server)


OPERATIONS: dict[str, Callable[[Server, Host], None]] = {
    "claim": claim,
    "release": release,
    "arrive": arrive,
    "fail": fail,
    "be found": be_found,
}
STEPS = st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, MEMBERS - 1), st.sampled_from(HOSTS))


def places(group: ServerGroup) -> dict[Any, set[str]]:
    """Return on which hosts each member holds room, by the rows alone."""
    found: dict[Any, set[str]] = {}
    for held in Allocation.objects.select_related("host", "migration"):
        key = held.server_id or (held.migration.server_id if held.migration else None)
        found.setdefault(key, set()).add(held.host.name)
    members = set(group.servers.values_list("pk", flat=True))
    return {key: hosts for key, hosts in found.items() if key in members}


def broken(group: ServerGroup) -> dict[str, int]:
    """Return by how much the group's promise could be broken in the worst end of all moves, and on which hosts."""
    held = places(group).values()
    if group.policy == "affinity":
        return {"apart": max(len(set(ends)) for ends in product(*held)) - 1} if held else {}
    there = Counter(host for hosts in held for host in hosts)
    return {host: max(count - group.max_server_per_host, 0) for host, count in there.items()}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", sorted(GROUPS))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    starts=st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2),
    steps=st.lists(STEPS, min_size=10, max_size=25),
)
def test_nothing_but_what_is_found_breaks_the_promise_of_a_group(
    kind: str, starts: list[str], steps: list[tuple[str, int, str]]
) -> None:
    made = [(word, number, host) for number, host in enumerate(starts) for word in ("claim", "arrive")]
    with transaction.atomic():
        project = make_project()
        hosts = {name: make_host(name) for name in HOSTS}
        group = ServerGroup.objects.create(name=kind, **GROUPS[kind])
        size: dict[str, Any] = {"vcpus": 0, "memory_mb": 1, "root_gb": 0}
        servers = [make_server(project, host=None, group=group, **size) for _ in range(MEMBERS)]
        before: dict[str, int] = {}
        for word, number, host in made + steps:
            server = Server.objects.select_related("host").get(pk=servers[number].pk)
            OPERATIONS[word](server, hosts[host])
            after = broken(group)
            worse = {where for where, much in after.items() if much > before.get(where, 0)}
            assert word == "be found" or not worse, (word, number, host, places(group))
            before = after
        transaction.set_rollback(True)
