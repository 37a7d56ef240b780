"""migrate, confirmResize and revertResize as the clients ask for them."""

from __future__ import annotations

import pytest

from tests.clients.cloud import Cloud, at_newest, openstack

CONFLICT = openstack.exceptions.ConflictException


def test_a_move_is_confirmed(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-2"))
    cloud.openstack("server", "migrate", "web-2", "--wait")
    moved = cloud.settled(server, "VERIFY_RESIZE")
    cloud.openstack("server", "migration", "confirm", "web-2")
    assert cloud.settled(server).compute_host == moved.compute_host != server.compute_host
    newest = cloud.openstack("server", "migration", "list", "--server", "web-2")[0]
    hosts = (newest["Source Compute"], newest["Dest Compute"])
    assert (newest["Status"], hosts) == ("confirmed", (server.compute_host, moved.compute_host))


def test_a_move_is_reverted_and_there_is_one_at_a_time(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-2"))
    cloud.sdk.compute.migrate_server(server)
    moved = cloud.settled(server, "VERIFY_RESIZE")
    with pytest.raises(CONFLICT, match="while it is in vm_state resized"):
        cloud.sdk.compute.migrate_server(server)
    cloud.sdk.compute.revert_server_resize(server)
    assert cloud.settled(server).compute_host == server.compute_host != moved.compute_host
    assert cloud.moves(server)[-1].status == "reverted"


def test_a_move_goes_to_the_host_that_is_asked_for(cloud: Cloud) -> None:
    cloud.needs("2.56")
    server = cloud.settled(cloud.server("web-2"))
    cloud.openstack("server", "migrate", "--host", "edge-1", "web-2", "--wait")
    assert cloud.settled(server, "VERIFY_RESIZE").compute_host == "edge-1"
    cloud.nova("resize-revert", "web-2")
    assert cloud.settled(server).compute_host == server.compute_host


@at_newest
def test_there_is_nothing_to_confirm_before_a_move(cloud: Cloud) -> None:
    assert "409" in cloud.refusal("server", "migration", "confirm", "web-4")


def test_what_waits_for_its_confirmation_is_found_by_its_status(cloud: Cloud) -> None:
    rows = cloud.openstack("server", "migration", "list", "--status", "finished")
    assert cloud.server("worker-2").id in {row["Server UUID"] for row in rows}
