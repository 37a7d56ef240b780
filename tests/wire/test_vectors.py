"""Every row of the contract, sent over the URL configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution.queue import run_until_idle
from servers.microversions import maximum
from tests.wire import compare, data, replay
from tests.wire.build import World

pytestmark = pytest.mark.django_db

DEVIATIONS = {(d["row"], d["field"]): d for d in data.deviations()}
ROWS = data.rows()
REFUSED_FIRST = {401, 406}
"""What is answered before a version above the newest could matter."""


@pytest.fixture(autouse=True)
def virtual_clock() -> Iterator[VirtualClock]:
    with clock.use(VirtualClock()) as virtual:
        yield virtual  # type: ignore[misc]


def problems(row: dict[str, Any], world: World) -> list[str]:
    """Return every difference between what the contract says of the row and what is answered."""
    response = replay.send(world, row)
    expect, known = row["expect"], world.known
    found = []
    if response.status_code != expect["status"]:
        found.append(f"status: expected {expect['status']}, got {response.status_code} {response.content!r}")
    empty = not response.content
    found += compare.header_differences(expect, response.headers, known, empty=empty)
    found += compare.body_differences(expect, replay.body_of(response), known)
    if row["path"].startswith("/v2.1/"):
        ids = response.headers.get("x-compute-request-id"), response.headers.get("x-openstack-request-id")
        if ids[0] is None or ids[0] != ids[1]:
            found.append(f"request ids: {ids}")
    if row.get("compare_after") == "idle":
        run_until_idle()
    actual = replay.left_behind()
    if world.count_actions() == world.actions:
        actual["instance_action"] = None
    return found + compare.after_differences(expect, actual, known)


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_row_is_answered_as_nova_does(
    row: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, newest = data.microversion(row), maximum()
    if version is not None and version > newest and row["expect"]["status"] not in REFUSED_FIRST:
        pytest.skip(f"microversion {version} is above the newest, {newest}")
    given = row["preconditions"]
    world = World(given, [row.get("body")], settings)
    world.known["max_version"] = str(newest)
    for fault in given.get("faults") or []:
        replay.set_fault(world, fault, monkeypatch)
    if given.get("race"):
        replay.set_race(monkeypatch)
    found = problems(row, world)
    accepted = [d for (name, _), d in DEVIATIONS.items() if name == row["id"]]
    if accepted:
        assert found, f"{row['id']} is listed as a deviation and is none"
        left = [f for f in found if not any(f.lstrip(".").startswith(d["field"]) for d in accepted)]
        assert not left, left
    else:
        assert not found, found


def test_deviations_are_few_and_name_rows_that_exist() -> None:
    names = {row["id"] for row in ROWS} | {flow["id"] for flow in data.flows()}
    assert len(DEVIATIONS) <= 25
    assert {d["row"] for d in DEVIATIONS.values()} <= names
    assert all(d["reason"] and "ours" in d for d in DEVIATIONS.values())
