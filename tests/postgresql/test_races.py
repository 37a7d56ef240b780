"""Who wants the same at the same moment, by all three ways, with real workers: nothing twice, and no 5xx.

RACES says how many rounds; the long run is RACES=100.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from servers.engine.capacity.usage import allocated
from servers.models import ActionRecord, Allocation, Host, Migration, Server
from servers.states import OPEN_ACTION_STATUSES, ActionStatus
from tests.postgresql.crowd import CROWD, LIVE, Crowd
from tests.postgresql.workers import Workers, until, until_over
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = int(os.environ.get("RACES", "2"))
Start = Callable[..., Workers]


@pytest.fixture
def crowd(fleet: SmallFleet, start_workers: Start) -> Crowd:
    start_workers(4)
    return Crowd(fleet, fleet.project)


def rest(fleet: SmallFleet) -> None:
    """Wait until nothing goes on, and check what has to be true then, whoever has won."""
    until(lambda: not ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exists(), "not at rest")
    for server in Server.objects.filter(deleted_at=None).select_related("host"):
        assert server.host is not None
        assert server.task_state == ""
        assert fleet.simulation.running_on(server.uuid) == server.host.name
        charged = Allocation.objects.filter(server=server).values_list("host__name", flat=True)
        assert list(charged) == [server.host.name]
    for host in Host.objects.all():
        assert all(taken <= room for taken, room in zip(allocated(host), host.capacity(), strict=True))
    failed = ActionRecord.objects.filter(status=ActionStatus.FAILED).exclude(
        error_code__in=["no_valid_host", "compute_resources_unavailable", "max_retries_exceeded"]
    )
    assert not failed.exists(), [(a.slug, a.error_code, a.error_text) for a in failed]


def forget(server: Server) -> None:
    """Let the next round begin with what there is."""
    server.refresh_from_db()


def test_of_sixteen_who_want_one_server_one_is_accepted(fleet: SmallFleet, crowd: Crowd) -> None:
    server = fleet.add_server()
    for _ in range(ROUNDS):
        answers = crowd.rush([("live-migration", server, {})] * CROWD)
        assert answers == {"accepted": 1, "refused": CROWD - 1}
        rest(fleet)
        fleet.heartbeat()


def test_of_sixteen_who_want_the_last_place_on_a_host_one_gets_it(fleet: SmallFleet, crowd: Crowd) -> None:
    fleet.add_host("small", vcpus=1)
    Host.objects.filter(name="node1").update(vcpus=CROWD)
    for number in range(ROUNDS):
        servers = [fleet.add_server(f"s{number}-{n}") for n in range(CROWD)]
        fleet.heartbeat()
        answers = crowd.rush([("live-migration", server, {"host": "small"}) for server in servers])
        assert answers == {"accepted": CROWD}
        rest(fleet)
        landed = Server.objects.filter(host__name="small")
        assert landed.count() == 1
        for server in servers:
            remove(fleet, server)


def remove(fleet: SmallFleet, server: Server) -> None:
    """Take a server out of the fleet."""
    server.refresh_from_db()
    assert server.host is not None
    fleet.simulation.remove_guest(server.host.name, server.uuid)
    server.delete()


def test_a_move_that_sixteen_abort_as_it_completes_ends_in_one_way(fleet: SmallFleet, crowd: Crowd) -> None:
    server = fleet.add_server(memory_mb=4096)
    ends: Counter[str] = Counter()
    for _ in range(ROUNDS):
        fleet.heartbeat()
        record = fleet.submit("live-migration", server, **LIVE).record
        until(lambda: Migration.objects.filter(server=server, status="running").exists(), "it does not move")
        number = Migration.objects.filter(server=server).latest("pk").pk
        answers = crowd.rush([("abort-migration", server, {"migration": number})] * CROWD)
        assert set(answers) <= {"accepted", "refused"}
        until_over(record)
        rest(fleet)
        record.refresh_from_db()
        moved = Migration.objects.get(pk=number)
        assert (record.status, moved.status) in {("cancelled", "cancelled"), ("succeeded", "completed")}
        ends[record.status] += 1
    print(dict(ends))


def test_of_confirm_and_revert_at_once_one_is_accepted(fleet: SmallFleet, crowd: Crowd) -> None:
    server = fleet.add_server(storage="local")
    ends: Counter[str] = Counter()
    for _ in range(ROUNDS):
        fleet.heartbeat()
        until_over(fleet.submit("migrate", server).record)
        asked: list[tuple[str, Server, dict[str, Any]]] = [
            ("confirm-resize" if number % 2 else "revert-resize", server, {}) for number in range(CROWD)
        ]
        answers = crowd.rush(asked)
        assert answers == {"accepted": 1, "refused": CROWD - 1}
        rest(fleet)
        ends[Migration.objects.filter(server=server).latest("pk").status] += 1
    print(dict(ends))
    assert set(ends) <= {"confirmed", "reverted"}
