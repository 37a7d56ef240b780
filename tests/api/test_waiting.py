"""Requests that wait for hosts: so many at a time, and none for longer than is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servers.fleet import polling
from servers.models import ActionEvent, ActionRecord, Server
from servers.states import ActionStatus
from servers.waiting import PLACES
from tests.admin.visiting import Visitor
from tests.conftest import Caller
from tests.small_fleet import SmallFleet

WAITS, WAITS_NOT = "2.30", "2.34"
CHECKS = ("check_can_live_migrate_destination", "check_can_live_migrate_source")


@pytest.fixture
def no_places() -> Iterator[None]:
    PLACES.limit(0)
    yield
    PLACES.limit(None)


@pytest.fixture
def fleet(db: None) -> SmallFleet:
    return SmallFleet()


@pytest.fixture
def server(fleet: SmallFleet) -> Server:
    return fleet.add_server()


def move(caller: Caller, server: Server, version: str = WAITS, host: str | None = None) -> Any:
    body = {"os-migrateLive": {"host": host, "block_migration": "auto", "force": False}}
    return caller.post(f"/v2.1/servers/{server.uuid}/action", body, version)


@pytest.mark.parametrize("verb", CHECKS)
def test_checks_that_hang_within_a_call_keep_nobody_waiting_longer_than_said(
    verb: str, admin: Caller, fleet: SmallFleet, server: Server, settings: Any
) -> None:
    settings.SYNC_CHECK_LIMIT_S = 2
    fleet.simulation.set_fault(verb, mode="hang", hang_limit_s=8)
    assert move(admin, server).status_code == 202
    record = ActionRecord.objects.get()
    assert record.status == ActionStatus.QUEUED and record.step == "choose_destination"
    assert polling.ASKER._asked  # the host has not answered yet


def test_what_nobody_waited_for_is_carried_out_by_a_worker(
    admin: Caller, fleet: SmallFleet, server: Server, settings: Any
) -> None:
    settings.SYNC_CHECK_LIMIT_S = 2
    fleet.simulation.set_fault(CHECKS[0], mode="hang", hang_limit_s=8)
    assert move(admin, server).status_code == 202
    fleet.simulation.clear_faults()
    fleet.work()
    assert ActionRecord.objects.get().status == ActionStatus.SUCCEEDED
    assert fleet.simulation.running_on(server.uuid) != ["node1"]


def test_host_that_hangs_over_a_check_is_not_asked_by_the_next_one(
    admin: Caller, fleet: SmallFleet, server: Server, settings: Any
) -> None:
    settings.SYNC_CHECK_LIMIT_S = 2
    fleet.simulation.set_fault(CHECKS[0], mode="hang", hang_limit_s=8, times=1)
    assert move(admin, server, host="node2").status_code == 202
    other = fleet.add_server("db")
    assert move(admin, other, host="node2").status_code == 400
    check = ActionEvent.objects.get(action__server=other, host="node2")
    assert (check.result, check.details[:29]) == ("Error", "Host node2 does not answer: C")


def test_check_for_which_there_is_no_place_to_wait_is_left_to_a_worker(
    no_places: None, admin: Caller, fleet: SmallFleet, server: Server
) -> None:
    fleet.simulation.set_fault(CHECKS[0], mode="hang")
    assert move(admin, server).status_code == 202
    record = ActionRecord.objects.get()
    assert (record.status, record.attempt, record.steps) == (ActionStatus.QUEUED, 0, [])


def test_action_that_looks_at_hosts_first_is_refused_without_a_place_and_nothing_is_written(
    no_places: None, admin: Caller, server: Server
) -> None:
    answer = admin.post(f"/v2.1/servers/{server.uuid}/action", {"os-resetState": {"state": "error"}})
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
    assert not ActionRecord.objects.exists()


def test_console_says_it_on_a_page(no_places: None, fleet: SmallFleet) -> None:
    operator = Visitor(fleet.project)
    operator.client.raise_request_exception = False
    answer = operator.get("/admin/servers/host/discover/")
    assert answer.status_code == 503 and int(answer["Retry-After"]) > 0
    assert b"Too many requests wait" in answer.content and b"Try again" in answer.content


def test_what_asks_no_host_needs_no_place(no_places: None, admin: Caller, server: Server) -> None:
    assert move(admin, server, WAITS_NOT).status_code == 202
    assert admin.get(f"/v2.1/servers/{server.uuid}").status_code == 200
