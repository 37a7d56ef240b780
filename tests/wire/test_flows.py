"""Every flow of the contract: requests in their order, work in between, and what is left when all is idle."""

from __future__ import annotations

from typing import Any

import pytest

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution.queue import run_until_idle
from servers.microversions import maximum
from servers.models import Migration, Server
from tests.wire import compare, data, replay
from tests.wire.build import World

pytestmark = pytest.mark.django_db

FLOWS = data.flows()


class Player:
    """Sends a flow's requests, each at its `when`."""

    def __init__(self, flow: dict[str, Any], world: World) -> None:
        self.waiting = list(flow["requests"])
        self.world = world
        self.found: list[str] = []

    def send_next(self) -> None:
        request = self.waiting.pop(0)
        clock.sleep(1)
        newest = Migration.objects.order_by("-pk").first()
        if newest is not None:
            self.world.known["migration_id"] = newest.pk
        response = replay.send(self.world, request)
        if response.status_code != request["expect_status"]:
            self.found.append(f"status: expected {request['expect_status']}, got {response.status_code}")
        if "expect_body" in request:
            expected = request["expect_body"]
            self.found += compare.differences(expected, replay.body_of(response), self.world.known)

    def meanwhile(self) -> None:
        """Send the next request in the middle of a move, when its time has come, and let it be carried out."""
        if not self.waiting or self.waiting[0]["when"] not in {"running", "queued"}:
            return
        newest = Migration.objects.order_by("-pk").first()
        if newest is not None and newest.status == self.waiting[0]["when"]:
            self.send_next()
            run_until_idle(wait=False)

    def play(self) -> list[str]:
        while self.waiting:
            self.send_next()
            run_until_idle()
        return self.found


@pytest.mark.parametrize("flow", FLOWS, ids=[flow["id"] for flow in FLOWS])
def test_flow_ends_as_the_contract_says(
    flow: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = maximum()
    highest = max(data.microversion(request) or newest for request in flow["requests"])
    if highest > newest:
        pytest.skip(f"microversion {highest} is above the newest, {newest}")
    virtual = VirtualClock()
    with clock.use(virtual):
        world = World(flow["given"], [r.get("body") for r in flow["requests"]], settings)
        for fault in flow["given"].get("faults") or []:
            replay.set_fault(world, fault, monkeypatch)
        player = Player(flow, world)
        virtual.on_sleep = player.meanwhile
        found = player.play()
        found += result_differences(flow, replay.outcome(), world.known)
    assert not found, found


def result_differences(flow: dict[str, Any], left: dict[str, Any], known: dict[str, Any]) -> list[str]:
    """Return where the end differs; an expected action without events may have any."""
    found = compare.differences(flow["final"], left["final"], known, "final")
    found += compare.differences(flow["allocations"], left["allocations"], known, "allocations")
    found += compare.differences(flow["migrations"], left["migrations"], known, "migrations")
    actions = left["actions"]
    if len(actions) != len(flow["actions"]):
        return [*found, f"actions: expected {flow['actions']!r}, got {actions!r}"]
    for expected, actual in zip(flow["actions"], actions, strict=True):
        found += compare.differences(
            expected, actual, known, "actions", subset="events_newest_first" not in expected
        )
    return found


def test_a_flow_may_have_servers_beside_the_one_under_test(settings: Any) -> None:
    first = next(flow for flow in FLOWS if flow["given"]["server"]["host"])
    given = first["given"] | {
        "other_servers": {"one": first["given"]["server"], "two": first["given"]["server"]}
    }
    World(given, [], settings)
    assert sorted(Server.objects.values_list("number", flat=True)) == [1, 2, 3]
    assert len({server.instance_name for server in Server.objects.all()}) == 3
