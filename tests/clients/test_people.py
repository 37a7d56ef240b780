"""What the clients are told when they are used by somebody who may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.cloud import Cloud, at_newest

NO_HOST = {"host": None, "block_migration": False, "disk_over_commit": False}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("migrate", None),
        ("os-migrateLive", NO_HOST),
        ("os-resetState", {"state": "error"}),
        ("resetNetwork", None),
        ("injectNetworkInfo", None),
    ],
)
def test_a_member_may_not(cloud: Cloud, name: str, params: Any) -> None:
    compute = cloud.connect("martin").compute
    server = compute.find_server("db-1", ignore_missing=False)
    refused = compute.post(f"/servers/{server.id}/action", json={name: params})
    assert (refused.status_code, list(refused.json())) == (403, ["forbidden"])


def test_a_reader_sees_the_servers_of_the_project_without_their_hosts(cloud: Cloud) -> None:
    servers = {server.name: server for server in cloud.connect("rita").compute.servers()}
    assert "db-1" in servers
    assert "web-1" not in servers
    assert {server.compute_host for server in servers.values()} == {None}


@at_newest
def test_a_member_is_told_the_zones_without_their_hosts(cloud: Cloud) -> None:
    person = {f"OS_{name.upper()}": value for name, value in cloud.account("martin").items()}
    done = cloud.run("openstack", "availability", "zone", "list", "--compute", "-f", "value", **person)
    assert (done.returncode, done.stdout.split()) == (0, ["nova", "available"]), done.stderr
