"""Waiting for judgement, in the console: the list, the evidence, and four ways out, each with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from servers.engine.judgement.judge import VERDICTS
from servers.models import ActionRecord, Project
from tests.admin.visiting import Visitor, page_of, refusal_of, words
from tests.small_fleet import SmallFleet, fleet_of
from tests.stalling import arrived_move, stalled_move

LIST = "/admin/judgement/"
HOME = "/admin/"
WHY = "I have looked at the host"


@pytest.fixture
def fleet(project: Project) -> Iterator[SmallFleet]:
    """Return a fleet whose servers belong to the visitor's project."""
    with fleet_of(project) as fleet:
        yield fleet


@pytest.fixture
def stalled(fleet: SmallFleet) -> ActionRecord:
    return stalled_move(fleet, fleet.add_server("web"))


def judgement_of(record: ActionRecord) -> str:
    return f"/admin/servers/actionrecord/{record.pk}/judge/"


def sent(verdict: str, reason: str = WHY, *dead: str) -> dict[str, object]:
    """Return what the form of a way out sends."""
    return {"verdict": verdict, f"{verdict}-reason": reason, f"{verdict}-dead_hosts": list(dead)}


def test_nothing_that_waits_is_a_quiet_page(operator: Visitor) -> None:
    assert "Nothing waits for a judgement." in operator.text(LIST)
    home = operator.text(HOME)
    assert "Waiting for judgement" in home and "Waiting for judgement (" not in home


def test_what_waits_is_listed_and_counted(operator: Visitor, stalled: ActionRecord) -> None:
    text = operator.text(LIST)
    assert "web Live migration" in text and "It made no progress in 5 attempts" in text
    assert judgement_of(stalled) in operator.get(LIST).content.decode()
    home = operator.text(HOME)
    assert "Waiting for judgement (1)" in home and "Live migration of web since" in home
    assert "Live migration of web" not in home[home.index("Runs now") : home.index("Failed today")]


def test_page_of_the_action_leads_to_its_judgement(operator: Visitor, stalled: ActionRecord) -> None:
    assert f'href="{judgement_of(stalled)}"' in operator.get(page_of(stalled)).content.decode()
    assert "It will be asked again" not in operator.text(page_of(stalled))


def test_reader_sees_the_list_and_no_way_out(onlooker: Visitor, stalled: ActionRecord) -> None:
    assert "web Live migration" in onlooker.text(LIST)
    assert judgement_of(stalled) not in onlooker.get(LIST).content.decode()
    assert judgement_of(stalled) not in onlooker.get(page_of(stalled)).content.decode()
    assert onlooker.get(judgement_of(stalled)).status_code == 403
    assert [onlooker.post(judgement_of(stalled), sent(v)).status_code for v in VERDICTS] == [403] * 4
    assert ActionRecord.objects.get().judgements == []


def test_stranger_sees_nothing_of_it(stalled: ActionRecord, stranger: object) -> None:
    visitor = Visitor(stranger.project, "manager")  # type: ignore[attr-defined]
    assert "Nothing waits for a judgement." in visitor.text(LIST)
    assert visitor.get(judgement_of(stalled)).status_code == 404


def test_evidence_stands_above_the_ways_out(operator: Visitor, fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    fleet.simulation.lose_host("node2")
    text = operator.text(judgement_of(record))
    assert "node1 running ✔ has the guest ◆ may have it, by the records" in text
    assert "node2 silent: Connection to the hypervisor is broken on host ✖ silent" in text
    assert "1 more host answered and knows nothing of it" in text
    assert "↻ running node1 → node2" in text
    assert "node1, for the migration" in text and "node2, for the server" in text
    assert re.search(r"Move guest began \d\d:\d\d:\d\d", text)
    assert text.index("Records") < text.index("Ways out") < text.index("Look again")
    assert "As things stand it will be refused. node2 may run instance" in text


def test_only_hosts_that_are_silent_and_may_have_the_guest_can_be_called_dead(
    operator: Visitor, fleet: SmallFleet
) -> None:
    record = stalled_move(fleet)
    box = re.compile(r'<input type="checkbox" name="([\w-]+)" value="(\w+)"')
    assert box.findall(operator.get(judgement_of(record)).content.decode()) == []
    fleet.simulation.lose_host("node2"), fleet.simulation.lose_host("node3")
    found = box.findall(operator.get(judgement_of(record)).content.decode())
    assert found == [(f"{verdict}-dead_hosts", "node2") for verdict in VERDICTS]


@pytest.mark.parametrize(
    ("verdict", "status", "said"),
    [
        ("look_again", "unknown", "A worker looks at it again."),
        ("failed", "failed", "It was closed as failed."),
        ("undo", "unknown", "A worker takes it back."),
    ],
)
def test_way_out_is_taken_and_leads_back(
    operator: Visitor, stalled: ActionRecord, verdict: str, status: str, said: str
) -> None:
    response = operator.post(judgement_of(stalled), sent(verdict))
    assert (response.status_code, response["Location"]) == (303, page_of(stalled))
    record = ActionRecord.objects.get()
    assert (record.status, record.stalled_at) == (status, None)
    (kept,) = record.judgements
    by = {"id": operator.user.pk, "name": operator.user.name}
    assert (kept["by"], kept["door"], kept["reason"]) == (by, "console", WHY)
    text = operator.text(page_of(stalled))
    assert said in text and f"by {operator.user.name}, through the console door {WHY}" in text


def test_move_that_arrived_is_closed_as_succeeded(operator: Visitor, fleet: SmallFleet) -> None:
    record = arrived_move(fleet)
    assert operator.post(judgement_of(record), sent("succeeded")).status_code == 303
    assert ActionRecord.objects.get().status == "succeeded"


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_judgement_without_a_reason_is_asked_for_one(
    operator: Visitor, stalled: ActionRecord, reason: str
) -> None:
    response = operator.post(judgement_of(stalled), sent("failed", reason))
    assert response.status_code == 400 and 'id="id_failed-reason_error"' in response.content.decode()
    assert operator.post(judgement_of(stalled), sent("explode")).status_code == 400
    assert ActionRecord.objects.get().judgements == []


def test_refusal_is_said_and_what_was_written_is_kept(operator: Visitor, stalled: ActionRecord) -> None:
    response = operator.post(judgement_of(stalled), sent("succeeded"))
    assert response.status_code == 409 and "seen on node1, and not on node2" in refusal_of(response)
    assert WHY in words(response)
    answers = operator.post(judgement_of(stalled), sent("look_again", WHY, "node2"))
    assert (answers.status_code, refusal_of(answers)) == (409, "Host node2 answers, it is not dead.")


def test_whoever_is_second_is_told_so(operator: Visitor, stalled: ActionRecord) -> None:
    assert operator.post(judgement_of(stalled), sent("failed")).status_code == 303
    second = operator.post(judgement_of(stalled), sent("look_again"))
    assert second.status_code == 409 and "does not wait for a judgement: it is failed" in refusal_of(second)
    assert operator.get(judgement_of(stalled)).status_code == 303


def test_form_without_the_token_is_refused(operator: Visitor, stalled: ActionRecord) -> None:
    operator.client.handler.enforce_csrf_checks = True
    assert operator.post(judgement_of(stalled), sent("failed")).status_code == 403
    assert ActionRecord.objects.get().judgements == []
