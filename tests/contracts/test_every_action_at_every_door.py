"""Every action at every door: the same request is accepted by each, and refused by each in the same words."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from servers.actions import Action, registry
from servers.actions.base import Exclusivity
from servers.models import ActionRecord, Migration, Server
from servers.states import TaskState, VmState
from tests.admin import visiting
from tests.factories import make_token, make_user
from tests.ready import ready_server
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

PARAMS: dict[str, dict[str, Any]] = {
    "live-migration": {"host": None, "block_migration": "auto"},
    "create-backup": {"name": "b", "backup_type": "daily", "rotation": 1},
    "reset-state": {"state": "error"},
    "change-password": {"adminPass": "secret"},
}
OPTIONS: dict[str, list[str]] = {
    "create-backup": ["--name", "b", "--backup-type", "daily", "--rotation", "1"],
    "live-migration": ["--block-migration", "auto"],
    "reset-state": ["--state", "error"],
}


def migrating(fleet: SmallFleet) -> Server:
    server = fleet.add_server()
    Server.objects.filter(pk=server.pk).update(task_state=TaskState.MIGRATING)
    Migration.objects.create(
        server=server,
        migration_type="live-migration",
        status="running",
        source_compute="node1",
        dest_compute="node2",
        user_id="u",
        project_id=server.project_id,
    )
    return server


READY: dict[str, Callable[[SmallFleet], Server]] = {
    "abort-migration": migrating,
    "force-complete": migrating,
}


def ready(fleet: SmallFleet, action: type[Action]) -> Server:
    """Return a server on which the action is possible."""
    return READY[action.slug](fleet) if action.slug in READY else ready_server(fleet, action)


def by_rest(action: type[Action], server: Server, fleet: SmallFleet) -> str:
    """Ask at the REST door; return the refusal, "" when it is accepted."""
    user = make_user("admin", fleet.project)
    headers = {
        "X-Auth-Token": make_token(user, fleet.project, ["admin"]),
        "OpenStack-API-Version": "compute latest",
    }
    base = f"/v2.1/servers/{server.uuid}"
    if action.on_migration:
        base += f"/migrations/{server.migrations.latest('pk').pk}"
    client = Client()
    if action.wire_name:
        body = {action.wire_name: PARAMS.get(action.slug)}
        response = client.post(f"{base}/action", body, content_type="application/json", headers=headers)
    else:
        response = client.delete(base, headers=headers)
    if response.status_code in {202, 204}:
        return ""
    return str(next(iter(json.loads(response.content).values()))["message"])


def by_command(action: type[Action], server: Server, fleet: SmallFleet) -> str:
    """Ask at the shell; return the refusal, "" when it is accepted."""
    words = [action.slug, str(server.uuid), *OPTIONS.get(action.slug, [])]
    complaints = io.StringIO()
    try:
        call_command("server_action", *words, stdout=io.StringIO(), stderr=complaints)
    except SystemExit as end:
        return complaints.getvalue() if end.code else ""
    return ""


def by_console(action: type[Action], server: Server, fleet: SmallFleet) -> str:
    """Ask at the console; return the refusal, "" when it is accepted."""
    return visiting.by_console(action, server, fleet.project)


DOORS = {"rest": by_rest, "command": by_command, "console": by_console}
every_action = pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)
every_door = pytest.mark.parametrize("door", list(DOORS))


@pytest.fixture
def fleet(db: None, monkeypatch: pytest.MonkeyPatch) -> SmallFleet:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    return SmallFleet()


@every_action
@every_door
def test_possible_action_is_accepted_and_recorded(door: str, action: type[Action], fleet: SmallFleet) -> None:
    server = ready(fleet, action)
    assert DOORS[door](action, server, fleet) == ""
    record = ActionRecord.objects.filter(slug=action.slug).latest("created_at")
    assert (record.door, record.name, record.server_id) == (door, action.record_name, server.pk)
    assert record.user_id and record.request_id.startswith("req-")


@every_action
@every_door
def test_server_in_a_wrong_state_is_refused_and_nothing_written(
    door: str, action: type[Action], fleet: SmallFleet
) -> None:
    if action.exclusivity in {Exclusivity.IMMEDIATE, Exclusivity.QUEUED}:
        pytest.skip("possible in every state")
    server = ready(fleet, action)
    Server.objects.filter(pk=server.pk).update(vm_state=VmState.SHELVED, task_state=TaskState.DELETING)
    before = ActionRecord.objects.count()
    refusal = DOORS[door](action, server, fleet)
    row = Server.objects.get(pk=server.pk)
    words = action.transition.refuses(row, action.verb)
    assert words is not None and str(words) in refusal
    assert ActionRecord.objects.count() == before and row.task_state == TaskState.DELETING
