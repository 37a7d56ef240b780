"""One id goes from the request to the call of the driver: each line of an action is found by it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars

from servers.engine.execution import lease_renewal
from servers.engine.execution import run as running
from servers.engine.execution.lease import claim
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.execution.queue import run_until_idle
from servers.fleet.host_questions import Asker, Question
from servers.models import ActionRecord
from tests.carrying_out import carry_out
from tests.conftest import Caller
from tests.small_fleet import SmallFleet
from tests.virtual_time import fleet, virtual_clock

__all__ = ["fleet", "virtual_clock"]
pytestmark = pytest.mark.django_db
LIVE = {"os-migrateLive": {"host": None, "block_migration": "auto"}}


@pytest.fixture
def lines() -> Any:
    """Return what our own loggers write, down to DEBUG, with what is bound."""
    known = structlog.get_config()
    found = structlog.testing.LogCapture()
    structlog.configure(
        processors=[merge_contextvars, found], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    yield found.entries
    structlog.configure(**known)


def test_every_call_of_a_driver_has_the_id_that_the_client_was_answered_with(
    fleet: SmallFleet, lines: Any
) -> None:
    server = fleet.add_server()
    caller = Caller(fleet.project, "admin")
    answer = caller.post(f"/v2.1/servers/{server.pk}/action", LIVE, "2.34")
    run_until_idle()
    record = ActionRecord.objects.get()
    calls = [line for line in lines if line["event"] == "driver.call"]
    assert {"live_migration", "pre_live_migration"} <= {line["verb"] for line in calls}
    for line in calls:
        assert line["request_id"] == answer["x-openstack-request-id"] == record.request_id
        assert (line["action"], line["server"]) == (str(record.pk), str(server.pk))
        assert (line["slug"], line["attempt"]) == ("live-migration", 1)
    assert get_contextvars() == {}


def test_checks_in_the_request_have_it_as_well(fleet: SmallFleet, lines: Any) -> None:
    server = fleet.add_server()
    answer = Caller(fleet.project, "admin").post(
        f"/v2.1/servers/{server.pk}/action",
        LIVE
        | {"os-migrateLive": {**LIVE["os-migrateLive"], "block_migration": False, "disk_over_commit": False}},
        "2.1",
    )
    calls = [line for line in lines if line["event"] == "driver.call"]
    assert calls
    assert {line["request_id"] for line in calls} == {answer["x-openstack-request-id"]}


def test_attempt_that_comes_to_no_end_is_found_by_it(
    fleet: SmallFleet, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: Any) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(running, "attempt", fail)
    record = fleet.submit("reset-network", fleet.add_server()).record
    assert carry_out(record.pk, "worker", heartbeat=False)
    (line,) = (line for line in lines if line["event"] == "action.unforeseen")
    assert line["request_id"] == record.request_id


def test_threads_that_renew_a_lease_know_for_whom(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    done = threading.Event()

    def look(self: Heartbeat) -> None:
        seen.append(get_contextvars())
        done.set()

    monkeypatch.setattr(lease_renewal.Heartbeat, "renew", look)
    record = fleet.submit("reset-network", fleet.add_server()).record
    lease = claim(record.pk, "worker")
    assert lease is not None
    with bound_contextvars(**lease.named), Heartbeat(lease):
        assert done.wait(60)
    assert seen[0]["request_id"] == record.request_id


def test_question_to_a_host_knows_for_whom_it_is_asked_whoever_starts_it() -> None:
    seen: list[Any] = []
    with bound_contextvars(request_id="req-1"):
        question = Question("node1", "a test", lambda: seen.append(get_contextvars().get("request_id")), 1e12)
    asker = Asker()
    with bound_contextvars(request_id="req-2"):
        asker.put(question)
        asker.wait(question)
    assert seen == ["req-1"]
