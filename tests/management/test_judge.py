"""manage.py judge, as a person and as a script runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.core.management import CommandError

from servers import clock
from servers.clock import VirtualClock
from servers.management.commands.judge import NOTHING, Command
from servers.models import ActionRecord
from tests.factories import make_user
from tests.management.conftest import Said, said_by
from tests.small_fleet import SmallFleet
from tests.stalling import arrived_move, stalled_move

WHY = "I have looked at the host"


@pytest.fixture
def busy_clock() -> Iterator[VirtualClock]:
    """Let nobody work meanwhile: what is due is done by whoever asks for it."""
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        yield virtual


def judge(*words: str) -> Said:
    """Run the command with these words."""
    return said_by(Command, *words)


def test_nothing_that_waits_is_said(fleet: SmallFleet) -> None:
    assert judge() == judge("list") == Said(0, f"{NOTHING}\n", "")


def test_what_waits_is_a_line_each(fleet: SmallFleet) -> None:
    record = stalled_move(fleet, fleet.add_server("web"))
    (row,) = judge().out.splitlines()[1:]
    assert row.split()[:3] == [str(record.pk), "web", "live-migration"]
    assert "It made no progress in 5 attempts" in row
    for words in (("--json",), ("list", "--json"), ("--json", "list")):
        document = json.loads(judge(*words).out)
        assert [found["action"] for found in document["waiting"]] == [str(record.pk)]
        assert (document["still_tried"], document["exit_code"]) == ([], 0)


def test_show_tells_records_journal_hosts_and_ways_out(fleet: SmallFleet) -> None:
    record = stalled_move(fleet, fleet.add_server("web"))
    said = judge("show", record.request_id)
    assert said.code == 0 and said.out.startswith("live-migration of web: unknown, It made no progress")
    for words in (
        "server: active, task migrating, running on node1",
        "running, node1 to node2",
        "room on node1",
    ):
        assert words in said.out
    assert "prepared for it" in said.out and "move_guest" in said.out
    assert "succeeded   The action cannot be closed as succeeded" in said.out
    document = json.loads(judge("show", str(record.pk), "--json").out)
    assert document["evidence"]["runs_on"] == ["node1"] and document["ways_out"]["undo"] == ""


def test_look_again_and_undo_are_left_to_a_worker(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    said = judge("look-again", str(record.pk), "--reason", WHY)
    assert (said.code, said.out) == (0, f"Judged: look_again, action {record.pk}\n")
    assert "No worker is running" in said.err
    fleet.work()
    assert ActionRecord.objects.get().status == "succeeded"


def test_undo_is_kept_with_the_name_of_who_has_a_shell(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    assert judge("undo", str(record.pk), "--reason", WHY).code == 0
    fleet.work()
    ended = ActionRecord.objects.get()
    assert (ended.status, ended.error_text) == ("failed", f"local-operator has had it undone: {WHY}")
    assert ended.judgements[0]["door"] == "command"


def test_close_says_how_it_ended(fleet: SmallFleet) -> None:
    record = arrived_move(fleet)
    said = judge("close", str(record.pk), "--as", "succeeded", "--reason", WHY)
    assert said == Said(0, f"Judged: succeeded, action {record.pk} succeeded\n", "")


def test_dead_host_is_named(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    words = ("close", str(record.pk), "--as", "failed", "--reason", WHY)
    fleet.simulation.lose_host("node1")
    silent = judge(*words)
    assert silent.code == 5 and silent.err.startswith("node1 may run instance")
    document = json.loads(judge(*words, "--dead", "node1", "--json").out)
    assert (document["status"], document["exit_code"]) == ("failed", 0)
    assert document["judgements"][0]["dead_hosts"] == ["node1"]


def test_refusals_have_their_exit_codes(fleet: SmallFleet) -> None:
    record = stalled_move(fleet)
    user = make_user("manager", fleet.project, default_project=fleet.project)
    close = ("close", str(record.pk), "--as", "failed", "--reason")
    assert judge(*close, " ").code == 1
    assert judge(*close, WHY, "--as-user", user.name).code == 3
    assert judge("show", str(record.pk), "--as-user", user.name).code == 3
    assert judge("show", "req-nobody").code == 4
    assert judge("close", str(record.pk), "--as", "succeeded", "--reason", WHY).code == 5
    refused = json.loads(
        judge("look-again", str(record.pk), "--reason", WHY, "--dead", "node1", "--json").out
    )
    assert (refused["error"]["code"], refused["exit_code"]) == ("host_answers", 5)
    with pytest.raises(CommandError):
        judge("undo", str(record.pk))
    assert ActionRecord.objects.get().judgements == []
