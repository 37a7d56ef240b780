"""manage.py workers, as a person and as a script runs it."""

from __future__ import annotations

import json

from servers.management.commands.workers import NOBODY, Command
from servers.models import Project, Worker
from tests.engine.test_workers import carried_out
from tests.factories import make_user
from tests.management.conftest import Said, said_by


def workers(*words: str) -> Said:
    """Run the command with these words."""
    return said_by(Command, *words)


def test_nobody_is_said_to_work(db: None) -> None:
    assert workers() == Said(0, f"{NOBODY}\n", "")


def test_worker_is_a_line_and_so_is_what_it_carries_out(project: Project) -> None:
    Worker.objects.create(name="node1-0123", processes=4)
    action = carried_out("node1-0123", project, step="move_guest", progress_percent=40)
    _, worker, _, shown = workers().out.splitlines()
    assert worker.split()[:4] == ["node1-0123", "node1", "working", "4"]
    assert shown.split()[:3] == [str(action.pk), "migrate", action.server.name]
    assert "move_guest" in shown and "40 %" in shown
    document = json.loads(workers("--json").out)
    (found,) = document["workers"]
    assert (found["name"], found["alive"], document["exit_code"]) == ("node1-0123", True, 0)
    assert [one["id"] for one in found["actions"]] == [str(action.pk)]


def test_policy_decides_for_a_user(project: Project) -> None:
    make_user("manager", project, name="anna", default_project=project)
    said = workers("--as-user", "anna")
    assert (said.code, said.out) == (3, "") and "gantry:workers:list" in said.err
    assert json.loads(workers("--as-user", "anna", "--json").out)["exit_code"] == 3
