"""Role x action x door x own or foreign project, derived from the rules: who passes, who is refused, who sees nothing."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from servers import policy
from servers.actions import Action, registry
from servers.models import ActionRecord, Migration, Project, Server, User
from servers.policy import Role
from servers.states import TaskState, VmState
from tests.admin import visiting
from tests.contracts.test_every_action_at_every_door import OPTIONS, PARAMS
from tests.factories import make_migration, make_project, make_token, make_user
from tests.ready import ready_server
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

LADDER = ["reader", "member", "manager", "admin"]
LOWEST = {Role.READER: "reader", Role.MEMBER: "member", Role.MANAGER: "manager", Role.ADMIN: "admin"}
WHERE = {True: "own", False: "foreign"}


def expected(action: type[Action], role: str, own: bool) -> str:
    """Return passes, forbidden, or missing, as the definition's rules have it."""
    if not own and role != "admin":
        return "missing"
    needed = [LADDER.index(LOWEST[rule.default]) for rule in action.rules_for({})]
    return "passes" if LADDER.index(role) >= max(needed) else "forbidden"


def prepared(action: type[Action]) -> Server:
    """Return a server on which the action can be accepted."""
    fleet = SmallFleet(hosts=2)
    server = fleet.add_server()
    if action.on_migration:
        Server.objects.filter(pk=server.pk).update(task_state=TaskState.MIGRATING)
        make_migration(server)
    elif action.slug in {"confirm-resize", "revert-resize"}:
        Server.objects.filter(pk=server.pk).update(vm_state=VmState.RESIZED)
        make_migration(server, migration_type="migration", status="finished", source_compute="node1")
    else:
        return ready_server(fleet, action)
    return server


def by_rest(action: type[Action], server: Server, user: User, project: Project, role: str) -> str:
    headers: Any = {
        "X-Auth-Token": make_token(user, project, [role]),
        "OpenStack-API-Version": "compute latest",
    }
    path = f"/v2.1/servers/{server.uuid}"
    if action.on_migration:
        path += f"/migrations/{Migration.objects.get(server=server).pk}"
    if action.wire_name:
        body = json.dumps({action.wire_name: PARAMS.get(action.slug)})
        response = Client().post(f"{path}/action", body, content_type="application/json", headers=headers)
    else:
        response = Client().delete(path, headers=headers)
    return {202: "passes", 204: "passes", 403: "forbidden", 404: "missing"}[response.status_code]


def by_command(action: type[Action], server: Server, user: User, project: Project, role: str) -> str:
    words = [action.slug, str(server.uuid), *OPTIONS.get(action.slug, [])]
    who = ["--as-user", user.name, "--project", project.name]
    try:
        call_command("server_action", *words, *who, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit as end:
        return {0: "passes", 3: "forbidden", 4: "missing"}[int(end.code or 0)]
    return "passes"


def by_console(action: type[Action], server: Server, user: User, project: Project, role: str) -> str:
    fields: dict[str, Any] = {}
    if action.on_migration:
        fields["migration"] = Migration.objects.get(server=server).pk
    response = visiting.Visitor(project, role, user).ask(action.slug, server, **fields)
    return {303: "passes", 403: "forbidden", 404: "missing"}[response.status_code]


DOORS = {"rest": by_rest, "command": by_command, "console": by_console}


@pytest.mark.parametrize("own", WHERE, ids=lambda own: WHERE[own])
@pytest.mark.parametrize("role", LADDER)
@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)
def test_door_lets_in_whom_the_rules_let_in(
    action: type[Action], door: str, role: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    server = prepared(action)
    project = Project.objects.get(pk=server.project_id) if own else make_project()
    user = make_user(role, project)
    before = ActionRecord.objects.count()
    outcome = DOORS[door](action, server, user, project, role)
    assert outcome == expected(action, role, own)
    assert ActionRecord.objects.count() - before == (outcome == "passes")


# -------------------------------------------------------------------- the file, while everything runs


@pytest.fixture
def policy_file(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """Return the operator's file, empty as yet, of a policy that is loaded once for the whole test."""
    path = tmp_path / "policy.yaml"
    path.write_text("{}")
    settings.POLICY_FILE = str(path)
    policy.in_force.cache_clear()
    yield path
    policy.in_force.cache_clear()


def rewrite(path: Path, rules: dict[str, str]) -> None:
    """Write the file so that its time of change is another one, however quick the test is."""
    changed_at = path.stat().st_mtime + 10
    path.write_text(json.dumps(rules))
    os.utime(path, (changed_at, changed_at))


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)
def test_rule_that_changes_in_the_file_changes_the_door_without_a_restart(
    action: type[Action], door: str, policy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = prepared(action)
    project = Project.objects.get(pk=server.project_id)
    in_force = policy.in_force()

    def ask(role: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
        return DOORS[door](action, server, make_user(role, project), project, role)

    lowest = max((LOWEST[rule.default] for rule in action.rules_for({})), key=LADDER.index)
    assert ask("reader") == "forbidden"
    rewrite(policy_file, {rule.name: "!" for rule in action.policy})
    assert ask(lowest) == "forbidden"
    rewrite(policy_file, {rule.name: "role:reader" for rule in action.policy})
    assert ask("reader") == "passes"
    assert policy.in_force() is in_force
