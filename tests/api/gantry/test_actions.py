"""`/gantry/v1/actions`: what waits for a person, with the evidence; and its judgement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from servers.engine.judgement.judge import VERDICTS
from servers.models import ActionRecord, Project
from tests.conftest import Caller
from tests.small_fleet import SmallFleet, fleet_of
from tests.stalling import arrived_move, stalled_move

LIST = "/gantry/v1/actions"
WHY = "I have looked at the host"


@pytest.fixture
def fleet(project: Project) -> Iterator[SmallFleet]:
    """Return a fleet whose servers belong to the callers' project."""
    with fleet_of(project) as fleet:
        yield fleet


@pytest.fixture
def stalled(fleet: SmallFleet) -> ActionRecord:
    return stalled_move(fleet, fleet.add_server("web"))


def body(response: Any) -> Any:
    return json.loads(response.content)


def judge(caller: Caller, record: ActionRecord, verdict: str, **more: Any) -> Any:
    said = {"verdict": verdict, "reason": WHY, **more}
    return caller.post(f"{LIST}/{record.pk}/judgement", said)


def test_what_waits_is_listed_with_links_and_its_reason_to_who_sees_details(
    admin: Caller, reader: Caller, stalled: ActionRecord
) -> None:
    (found,) = body(reader.get(f"{LIST}?waiting=true"))["actions"]
    assert (found["id"], found["server_name"], found["waiting"]) == (str(stalled.pk), "web", True)
    assert found["reason"] is None
    (told,) = body(admin.get(f"{LIST}?waiting=true"))["actions"]
    assert told["reason"].startswith("It made no progress in 5 attempts")
    links = {link["rel"]: link["href"] for link in found["links"]}
    assert links["judgement"].endswith(f"{LIST}/{stalled.pk}/judgement")
    assert body(reader.get(f"{LIST}?waiting=false")) == {"actions": []}
    assert body(reader.get(LIST))["actions"] == [found]


def test_evidence_and_ways_out_are_shown_to_who_may_judge(
    admin: Caller, manager: Caller, stalled: ActionRecord
) -> None:
    found = body(admin.get(f"{LIST}/{stalled.request_id}"))["action"]
    assert [h["says"] for h in found["evidence"]["hosts"]] == ["running", "prepared for it"]
    assert found["ways_out"]["look_again"] is None
    assert "seen on node1" in found["ways_out"]["succeeded"]
    assert manager.get(f"{LIST}/{stalled.pk}").status_code == 403


@pytest.mark.parametrize(("verdict", "status"), [("look_again", 202), ("undo", 202), ("failed", 200)])
def test_judgement_is_written_with_name_and_door(
    admin: Caller, stalled: ActionRecord, verdict: str, status: int
) -> None:
    response = judge(admin, stalled, verdict)
    assert response.status_code == status
    (said,) = body(response)["action"]["judgements"]
    assert (said["by"]["id"], said["door"], said["verdict"]) == (admin.user.pk, "rest", verdict)
    assert (said["reason"], ActionRecord.objects.get().judgements) == (WHY, [said])


def test_move_that_arrived_is_closed_as_succeeded(admin: Caller, fleet: SmallFleet) -> None:
    response = judge(admin, arrived_move(fleet), "succeeded")
    found = body(response)["action"]
    assert (response.status_code, found["status"], found["waiting"]) == (200, "succeeded", False)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"verdict": "failed"},
        {"reason": WHY},
        {"verdict": "explode", "reason": WHY},
        {"verdict": "failed", "reason": ""},
        {"verdict": "failed", "reason": "  "},
        {"verdict": "failed", "reason": "x" * 1001},
        {"verdict": "failed", "reason": 1},
        {"verdict": "failed", "reason": WHY, "dead_hosts": "node1"},
        {"verdict": "failed", "reason": WHY, "dead_hosts": ["node9"]},
        {"verdict": "failed", "reason": WHY, "why": 1},
        [],
        None,
    ],
)
def test_malformed_judgement_is_none(admin: Caller, stalled: ActionRecord, said: Any) -> None:
    response = admin.post(f"{LIST}/{stalled.pk}/judgement", said)
    assert (response.status_code, list(body(response))) == (400, ["badRequest"])
    assert ActionRecord.objects.get().judgements == []


@pytest.mark.parametrize("verdict", VERDICTS)
def test_nobody_else_judges(
    manager: Caller, reader: Caller, stranger: Caller, stalled: ActionRecord, verdict: str
) -> None:
    answers = [judge(caller, stalled, verdict) for caller in (manager, reader, stranger)]
    assert [a.status_code for a in answers] == [403, 403, 404]
    assert body(answers[0])["forbidden"]["message"] == (
        "Policy doesn't allow gantry:actions:judge to be performed."
    )
    assert ActionRecord.objects.get().judgements == []


def test_list_has_a_rule_of_its_own(project: Project, reader: Caller) -> None:
    assert reader.get(LIST).status_code == 200
    refused = Caller(project, "unrelated").get(LIST)
    assert body(refused)["forbidden"]["message"] == (
        "Policy doesn't allow gantry:actions:list to be performed."
    )


def test_stranger_sees_nothing_of_it(stranger: Caller, stalled: ActionRecord) -> None:
    assert body(stranger.get(LIST)) == {"actions": []}
    assert stranger.get(f"{LIST}/{stalled.pk}").status_code == 404


def test_conflict_says_why(admin: Caller, stalled: ActionRecord) -> None:
    alive = judge(admin, stalled, "failed", dead_hosts=["node2"])
    assert (alive.status_code, body(alive)["conflictingRequest"]["message"]) == (
        409,
        "Host node2 answers, it is not dead.",
    )
    assert judge(admin, stalled, "failed").status_code == 200
    late = judge(admin, stalled, "look_again")
    assert late.status_code == 409 and "it is failed" in body(late)["conflictingRequest"]["message"]


def test_door_asks_for_a_token_and_knows_no_other_address(admin: Caller, db: None) -> None:
    admin_secret, admin.secret = admin.secret, "nothing"
    for path in (LIST, f"{LIST}/x", "/gantry/v1/nothing", "/gantry/v1/"):
        assert admin.get(path).status_code == 401
    admin.secret = admin_secret
    for path in (f"{LIST}/x", "/gantry/v1/nothing"):
        assert admin.get(path).status_code == 404
    assert admin.get(f"{LIST}/%00").status_code == 400
    assert admin.get(f"{LIST}?waiting=perhaps").status_code == 400
    assert admin.get(f"{LIST}?what=1").status_code == 400


def test_there_are_no_microversions(admin: Caller, db: None) -> None:
    response = admin.get(LIST, version="9.99")
    assert response.status_code == 200 and "OpenStack-API-Version" not in response
    assert response["x-openstack-request-id"].startswith("req-")


def test_a_method_that_there_is_not_is_said_to_be_none(admin: Caller) -> None:
    answer = admin.put("/gantry/v1/actions", {})
    assert (answer.status_code, answer["Allow"]) == (405, "GET")
