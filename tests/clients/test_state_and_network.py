"""os-resetState, resetNetwork and injectNetworkInfo, and the history that every action leaves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.cloud import Cloud, openstack, until


def result(cloud: Cloud, server: Any, action: str) -> str | None:
    """Return how the server's newest action of that name has ended."""
    listed = [a for a in cloud.sdk.compute.server_actions(server) if a.action == action]
    if not listed:
        return None
    found = cloud.sdk.compute.get_server_action(listed[0].request_id, server)
    return found.events[0].result if found.events else None


def test_openstack_resets_a_state(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-4"))
    cloud.openstack("server", "set", "--auto-approve", "--state", "error", "web-4")
    rows = cloud.openstack("server", "list", "--status", "ERROR")
    assert [row["Name"] for row in rows] == ["web-4"]
    cloud.openstack("server", "set", "--auto-approve", "--state", "active", "web-4")
    assert cloud.settled(server).vm_state == "active"


def test_nova_resets_a_state_to_error_unless_told_otherwise(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-4"))
    cloud.nova("reset-state", "web-4")
    assert cloud.sdk.compute.get_server(server.id).status == "ERROR"
    cloud.nova("reset-state", "--active", "web-4")
    cloud.settled(server)


def test_a_state_that_does_not_exist_is_refused(cloud: Cloud) -> None:
    with pytest.raises(
        openstack.exceptions.BadRequestException, match="Invalid input for field/attribute state"
    ):
        cloud.sdk.compute.reset_server_state(cloud.server("web-4"), "asleep")


def test_nova_resets_a_network(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-4"))
    cloud.nova("reset-network", "web-4")
    cloud.settled(server)
    assert until(lambda: result(cloud, server, "resetNetwork"), bool) == "Success"


def test_novaclient_injects_network_information(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-4"))
    answer = cloud.novaclient.servers._action(
        "injectNetworkInfo", server.id
    )  # no release has a command for it
    assert answer.request_ids
    cloud.settled(server)
    assert until(lambda: result(cloud, server, "injectNetworkInfo"), bool) == "Success"


def test_what_was_done_is_in_the_servers_history(cloud: Cloud) -> None:
    rows = cloud.openstack("server", "event", "list", "worker-2")
    (move,) = [row for row in rows if row["Action"] == "migrate"]
    shown = cloud.openstack("server", "event", "show", "worker-2", move["Request ID"])
    assert (shown["action"], {event["result"] for event in shown["events"]}) == ("migrate", {"Success"})


def test_nova_shows_the_same_history(cloud: Cloud) -> None:
    assert "migrate" in cloud.nova("instance-action-list", "worker-2")
