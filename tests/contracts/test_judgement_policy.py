"""Role x door x own or foreign project: who may judge what waits, by the rule and by an operator's file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from servers import clock
from servers.actions import registry
from servers.engine.judgement.judge import RULE
from servers.models import ActionRecord, Project, User
from tests.admin.visiting import Visitor
from tests.contracts.test_policy_matrix import LADDER, policy_file, rewrite
from tests.factories import make_action, make_project, make_server, make_token, make_user

__all__ = ["policy_file"]
pytestmark = pytest.mark.django_db
WHY = "I have looked"

Door = Callable[[ActionRecord, User, Project, str], str]


def by_rest(record: ActionRecord, user: User, project: Project, role: str) -> str:
    headers: Any = {"X-Auth-Token": make_token(user, project, [role])}
    body = json.dumps({"verdict": "look_again", "reason": WHY})
    path = f"/gantry/v1/actions/{record.pk}/judgement"
    answer = Client().post(path, body, content_type="application/json", headers=headers)
    return {202: "passes", 403: "forbidden", 404: "missing"}[answer.status_code]


def by_command(record: ActionRecord, user: User, project: Project, role: str) -> str:
    who = ["--as-user", user.name, "--project", project.name]
    words = ["look-again", str(record.pk), "--reason", WHY, *who]
    try:
        call_command("judge", *words, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit as end:
        return {3: "forbidden", 4: "missing"}[int(end.code or 0)]
    return "passes"


def by_console(record: ActionRecord, user: User, project: Project, role: str) -> str:
    said = {"verdict": "look_again", "look_again-reason": WHY}
    path = f"/admin/servers/actionrecord/{record.pk}/judge/"
    answer = Visitor(project, role, user).post(path, said)
    return {303: "passes", 403: "forbidden", 404: "missing"}[answer.status_code]


DOORS: dict[str, Door] = {"rest": by_rest, "command": by_command, "console": by_console}


def stalled() -> ActionRecord:
    """Return an action that waits."""
    version = registry["migrate"].version
    return make_action(make_server(), "migrate", status="unknown", stalled_at=clock.now(), definition=version)


@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
@pytest.mark.parametrize("role", LADDER)
@pytest.mark.parametrize("door", list(DOORS))
def test_door_lets_judge_whom_the_rule_lets(door: str, role: str, own: bool) -> None:
    record = stalled()
    project = Project.objects.get(pk=record.server.project_id) if own else make_project()
    outcome = DOORS[door](record, make_user(role, project), project, role)
    refused = "forbidden" if own else "missing"
    assert outcome == ("passes" if role == "admin" else refused)
    record.refresh_from_db()
    assert len(record.judgements) == (outcome == "passes")


@pytest.mark.parametrize("door", list(DOORS))
def test_operators_file_lets_others_judge(door: str, policy_file: Path) -> None:
    record = stalled()
    project = Project.objects.get(pk=record.server.project_id)
    rewrite(policy_file, {RULE: "rule:project_manager_or_admin"})
    assert DOORS[door](record, make_user("manager", project), project, "manager") == "passes"
