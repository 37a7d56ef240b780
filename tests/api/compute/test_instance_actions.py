"""Who sees how much of what was done to a server (Nova contract A.4)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from servers import clock
from servers.models import ActionRecord, Project, Server
from tests.conftest import Caller
from tests.factories import make_action, make_event, make_server

ALWAYS = {"event", "start_time", "finish_time", "result"}


@pytest.fixture
def server(project: Project) -> Server:
    return make_server(project)


@pytest.fixture
def record(server: Server) -> ActionRecord:
    found = make_action(server, "live-migration", message="Error")
    make_event(found, "first")
    make_event(found, "second", result="Error", details="why", traceback="tb")
    return found


def path(server: Server, request_id: str = "") -> str:
    return f"/v2.1/servers/{server.uuid}/os-instance-actions" + (f"/{request_id}" if request_id else "")


def shown(caller: Caller, record: ActionRecord, version: str) -> dict[str, Any]:
    response = caller.get(path(record.server, record.request_id), version)
    assert response.status_code == 200, response.content
    return dict(response.json()["instanceAction"])


@pytest.mark.parametrize(
    ("version", "to_admin", "to_member"),
    [
        ("2.50", ALWAYS | {"traceback"}, None),
        ("2.51", ALWAYS | {"traceback"}, ALWAYS),
        ("2.62", ALWAYS | {"traceback", "host", "hostId"}, ALWAYS | {"hostId"}),
        ("2.84", ALWAYS | {"traceback", "host", "hostId", "details"}, ALWAYS | {"hostId"}),
    ],
)
def test_events_by_microversion_and_role(
    admin: Caller,
    member: Caller,
    record: ActionRecord,
    version: str,
    to_admin: set[str],
    to_member: set[str] | None,
) -> None:
    assert set(shown(admin, record, version)["events"][0]) == to_admin
    events = shown(member, record, version).get("events")
    assert (None if events is None else set(events[0])) == to_member


def test_newest_event_comes_first(admin: Caller, record: ActionRecord) -> None:
    second, first = shown(admin, record, "2.84")["events"]
    assert (first["event"], second["event"]) == ("first", "second")
    assert (second["result"], second["traceback"], second["details"]) == ("Error", "tb", "why")
    assert (first["traceback"], first["details"]) == (None, None)


def test_running_event_has_no_result(admin: Caller, server: Server) -> None:
    record = make_action(server)
    make_event(record, "running", result="", finished_at=None, host="")
    (event,) = shown(admin, record, "2.62")["events"]
    assert (event["result"], event["finish_time"], event["host"], event["hostId"]) == (None, None, None, "")


def test_host_digest_is_the_servers(member: Caller, record: ActionRecord) -> None:
    digest = hashlib.sha224(f"{record.server.project_id}host1".encode()).hexdigest()
    assert shown(member, record, "2.62")["events"][0]["hostId"] == digest


def test_action_was_updated_since_2_58(member: Caller, record: ActionRecord) -> None:
    assert "updated_at" not in shown(member, record, "2.57")
    assert shown(member, record, "2.58")["updated_at"].startswith("20")
    assert shown(member, record, "2.1")["message"] == "Error"


def test_list_is_newest_first_and_without_events(reader: Caller, server: Server) -> None:
    for number, name in enumerate(("create", "migrate")):
        make_action(server, name, created_at=clock.now() + timedelta(seconds=number))
    found = reader.get(path(server)).json()["instanceActions"]
    assert [action["action"] for action in found] == ["migrate", "create"]
    assert set(found[0]) == {
        "action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message",
    }  # fmt: skip
    assert found[0]["message"] is None


def test_pages_since_2_58(member: Caller, server: Server) -> None:
    for number in range(3):
        make_action(server, f"a{number}", created_at=clock.now() + timedelta(seconds=number))
    body = member.get(path(server) + "?limit=2", "2.58").json()
    assert [action["action"] for action in body["instanceActions"]] == ["a2", "a1"]
    marker = body["instanceActions"][1]["request_id"]
    assert body["links"][0]["href"].endswith(f"?limit=2&marker={marker}")
    rest = member.get(f"{path(server)}?limit=2&marker={marker}", "2.58").json()
    assert [action["action"] for action in rest["instanceActions"]] == ["a0"]
    assert "links" not in rest
    assert len(member.get(path(server) + "?limit=1&foo=1", "2.57").json()["instanceActions"]) == 3


@pytest.mark.parametrize(
    ("query", "version", "text"),
    [
        ("foo=1", "2.58", "Additional properties are not allowed ('foo' was unexpected)"),
        ("marker=nosuch", "2.58", "Marker None could not be found."),
        ("changes-before=2020-01-01T00:00:00Z", "2.65", "Additional properties are not allowed"),
        ("changes-since=x", "2.58", "Invalid input for query parameters changes-since. Value: x."),
    ],
)
def test_queries_that_are_refused(
    member: Caller, server: Server, query: str, version: str, text: str
) -> None:
    response = member.get(f"{path(server)}?{query}", version)
    assert response.status_code == 400
    assert response.json()["badRequest"]["message"].startswith(text)


def test_changes_in_a_period(member: Caller, server: Server) -> None:
    make_action(server, "old", updated_at=clock.now() - timedelta(days=2))
    make_action(server, "new")
    day = (clock.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    since = member.get(f"{path(server)}?changes-since={day}", "2.66").json()["instanceActions"]
    before = member.get(f"{path(server)}?changes-before={day}", "2.66").json()["instanceActions"]
    assert ([a["action"] for a in since], [a["action"] for a in before]) == (["new"], ["old"])


def test_unknown_request_id_is_named(member: Caller, server: Server) -> None:
    message = "Action nope not found"
    assert member.get(path(server, "nope")).json() == {"itemNotFound": {"code": 404, "message": message}}


def test_request_id_of_another_server_is_unknown(
    member: Caller, record: ActionRecord, project: Project
) -> None:
    other = make_server(project)
    assert member.get(path(other, record.request_id)).status_code == 404


def test_deleted_server_keeps_its_actions_since_2_21(member: Caller, project: Project) -> None:
    server = make_server(project, deleted_at=clock.now())
    make_action(server, "delete")
    assert member.get(path(server), "2.20").status_code == 404
    assert len(member.get(path(server), "2.21").json()["instanceActions"]) == 1


def test_strangers_and_those_without_a_role(stranger: Caller, record: ActionRecord, project: Project) -> None:
    assert stranger.get(path(record.server)).status_code == 404
    nobody = Caller(project, "unrelated")
    rule = "os_compute_api:os-instance-actions:list"
    response = nobody.get(path(record.server))
    assert response.json()["forbidden"]["message"] == f"Policy doesn't allow {rule} to be performed."
