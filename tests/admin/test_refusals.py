"""The console refuses as REST does: the same words, whoever asks and whatever the server's state."""

from __future__ import annotations

import json

import pytest

from servers.actions import Action, registry
from servers.models import ActionRecord, Project, Server
from servers.states import TaskState, VmState
from tests.admin.visiting import by_console
from tests.conftest import Caller
from tests.factories import make_migration, make_server

BODIES = {
    "live-migration": {"host": None, "block_migration": "auto"},
    "create-backup": {"name": "b", "backup_type": "daily", "rotation": 1},
    "reset-state": {"state": "error"},
    "change-password": {"adminPass": "secret"},
}
STATES = [
    {"vm_state": VmState.SHELVED, "task_state": TaskState.DELETING},
    {"vm_state": VmState.ACTIVE, "task_state": TaskState.IMAGE_BACKUP},
    {"vm_state": VmState.RESIZED},
    {"launched_at": None},
    {"volume_backed": True},
    {"locked_by": "admin"},
]


def by_rest(action: type[Action], server: Server, caller: Caller) -> str:
    """Ask at the REST door; return the refusal, "" when it is accepted."""
    base = f"/v2.1/servers/{server.pk}"
    if action.on_migration:
        base = f"{base}/migrations/{server.migrations.latest('pk').pk}"
    if action.wire_name:
        response = caller.post(f"{base}/action", {action.wire_name: BODIES.get(action.slug)}, "latest")
    else:
        response = caller.delete(base, "latest")
    if response.status_code in {202, 204}:
        return ""
    return str(next(iter(json.loads(response.content).values()))["message"])


@pytest.mark.parametrize("role", ["admin", "member", "reader"])
@pytest.mark.parametrize("state", STATES, ids=str)
@pytest.mark.parametrize("action", list(registry.values()), ids=lambda a: a.slug)
def test_refusal_is_the_same_at_both_doors(
    action: type[Action], state: dict[str, object], role: str, project: Project
) -> None:
    if action.slug == "abort-migration" and state.get("locked_by") and role == "member":
        pytest.skip("REST translates the lock into a state here, as Nova does")
    servers = [make_server(project, **state) for _ in range(2)]
    for server in servers:
        make_migration(server)
    refused = by_console(action, servers[0], project, role)
    said = by_rest(action, servers[1], Caller(project, role))
    mine, other = servers
    said = said.replace(str(other.pk), str(mine.pk))
    said = said.replace(f"Migration {other.migrations.get().pk} ", f"Migration {mine.migrations.get().pk} ")
    assert refused == said
    assert ActionRecord.objects.filter(door="console").exists() is (refused == "")
