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

from servers.actions.task import Charge
from servers.conductor import claims
from servers.errors import ComputeResourcesUnavailable
from servers.models import Allocation, Host, Migration, Server, ServerGroup
from servers.states import MigrationStatus
from tests.factories import make_host, make_project, make_server

HOSTS = ("node1", "node2", "node3")
MEMBERS = 4
GROUPS: dict[str, dict[str, Any]] = {
    "apart": {"policy": "anti-affinity"},
    "two by two": {"policy": "anti-affinity", "max_server_per_host": 2},
    "together": {"policy": "affinity"},
}


def open_move(server: Server) -> Migration | None:
    return server.migrations.exclude(status=MigrationStatus.COMPLETED).first()


def begin(server: Server, host: Host) -> None:
    """Open a move, as its first step does."""
    if open_move(server) is None and server.host is not None:
        move = Migration.objects.create(server=server, source_compute=server.host.name, status="running")
        claims.charge_migration(server.pk, move)


def claim(server: Server, host: Host) -> None:
    """Claim a host, for a move that is under way or for a server that is made, instead of the one that was."""
    if server.host is None or (open_move(server) is not None and server.host != host):
        release(server, host)
        with suppress(ComputeResourcesUnavailable):
            claims.claim(server.pk, host.name)


def release(server: Server, host: Host) -> None:
    """Give a destination up."""
    move = open_move(server)
    if move is not None:
        claims.release(server.pk, move.pk)
    elif server.host is None:
        claims.give_back(server.pk)


def arrive(server: Server, host: Host) -> None:
    """Be where room was claimed, for good."""
    held, move = Allocation.objects.filter(server=server).first(), open_move(server)
    if held is not None:
        Server.objects.filter(pk=server.pk).update(host=held.host)
        if move is not None:
            finish(server, move, Charge.MOVE)


def fail(server: Server, host: Host) -> None:
    """Stay where one was."""
    move = open_move(server)
    if move is not None:
        finish(server, move, Charge.RETURN)


def finish(server: Server, move: Migration, charge: Charge) -> None:
    for _ in range(2):  # twice is as good as once
        claims.settle(server.pk, move.pk, charge)
    Migration.objects.filter(pk=move.pk).update(status=MigrationStatus.COMPLETED)


def be_found(server: Server, host: Host) -> None:
    """Be found on a host by discovery, allowed there or not."""
    if open_move(server) is None:
        server.host = host
        server.store("host")
        claims.charge(server)


OPERATIONS: dict[str, Callable[[Server, Host], None]] = {
    "begin": begin,
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


def broken(group: ServerGroup) -> int:
    """Return by how much the group's promise could be broken in the worst end of all moves: 0 where it is kept."""
    held = places(group).values()
    worst = 0
    for ends in product(*held):
        if group.policy == "affinity":
            worst = max(worst, len(set(ends)) - 1)
        else:
            excess = (count - group.max_server_per_host for count in Counter(ends).values())
            worst = max(worst, *excess, 0)
    return worst


@pytest.mark.django_db
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(GROUPS)), steps=st.lists(STEPS, min_size=5, max_size=30))
def test_nothing_but_what_is_found_breaks_the_promise_of_a_group(
    kind: str, steps: list[tuple[str, int, str]]
) -> None:
    with transaction.atomic():
        project = make_project()
        hosts = {name: make_host(name) for name in HOSTS}
        group = ServerGroup.objects.create(name=kind, **GROUPS[kind])
        size: dict[str, Any] = {"vcpus": 0, "memory_mb": 1, "root_gb": 0}
        servers = [make_server(project, host=None, group=group, **size) for _ in range(MEMBERS)]
        before = 0
        for word, number, host in steps:
            server = Server.objects.select_related("host").get(pk=servers[number].pk)
            OPERATIONS[word](server, hosts[host])
            after = broken(group)
            assert word == "be found" or after <= before, (word, number, host, places(group))
            before = after
        transaction.set_rollback(True)
