"""How many queries a request costs, pinned: it does not grow with the number of servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from servers.actions import registry
from servers.models import Allocation, Host, Server, StoragePool
from servers.states import VmState
from tests.factories import make_token, make_user
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

BODIES: dict[str, Any] = {
    action.wire_name: action.examples[0].value
    if slug != "live-migration"
    else {"host": None, "block_migration": "auto"}
    for slug, action in registry.items()
    if action.wire_name and (action.transition.allowed is None or VmState.ACTIVE in action.transition.allowed)
    if not action.on_migration
}
"""What a server that runs can be asked for."""
MOST = 24
"""The dearest of them is createBackup, which makes an image as well."""


def post(action: str, servers: int) -> int:
    fleet = SmallFleet()
    for number in range(servers):
        fleet.add_server(f"server-{number}", memory_mb=1, vcpus=0, root_gb=0)
    server = fleet.add_server("last", memory_mb=1, vcpus=0, root_gb=0)
    secret = make_token(make_user("admin", fleet.project), fleet.project, ["admin"])
    body = json.dumps({action: BODIES[action]})
    headers: Any = {"X-Auth-Token": secret, "OpenStack-API-Version": "compute 2.60"}
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = Client().post(
            f"/v2.1/servers/{server.uuid}/action", body, content_type="application/json", headers=headers
        )
    assert response.status_code == 202, response.content
    return len(queries)


@pytest.mark.parametrize("action", list(BODIES))
def test_action_costs_as_many_queries_with_fifty_servers_as_with_one(
    action: str, settings: Any, tmp_path: Any
) -> None:
    few = post(action, 0)
    settings.SIMULATED_FLEET = tmp_path / "many.sqlite3"
    for model in (Allocation, Server, StoragePool, Host):
        model.objects.all().delete()
    many = post(action, 50)
    assert few == many <= MOST, (few, many)
