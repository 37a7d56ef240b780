"""os-migrateLive as the clients ask for it at each microversion, and what can be done while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.cloud import Cloud, openstack, until

ENDLESS = "busy-1"
"""Writes to its memory faster than it can be copied, so that there is time to look at its move."""


@pytest.fixture
def move(cloud: Cloud) -> Iterator[Any]:
    """Return a move that does not end by itself; it is over after the test."""
    cloud.needs("2.24")
    server = cloud.settled(cloud.server(ENDLESS))
    cloud.sdk.compute.live_migrate_server(server)
    move = until(lambda: running(cloud, server), lambda move: move is not None)
    yield move
    if (left := running(cloud, server)) is not None:
        cloud.sdk.compute.abort_server_migration(left.id, server.id)
    cloud.settled(server)


def running(cloud: Cloud, server: Any) -> Any:
    """Return the server's move once it runs, or None."""
    return next((m for m in cloud.sdk.compute.server_migrations(server.id) if m.status == "running"), None)


def test_openstack_lets_the_scheduler_choose(cloud: Cloud) -> None:
    cloud.needs("2.30")
    server = cloud.settled(cloud.server("worker-1"))
    cloud.openstack("server", "migrate", "--live-migration", "worker-1", "--wait")
    moved = cloud.settled(server)
    assert moved.compute_host != server.compute_host
    words = ("server", "migration", "list", "--server", "worker-1", "--type", "live-migration")
    newest = cloud.openstack(*words)[0]
    hosts = (newest["Source Compute"], newest["Dest Compute"])
    assert (newest["Status"], hosts) == ("completed", (server.compute_host, moved.compute_host))


def test_openstack_names_the_host_and_has_the_disk_copied(cloud: Cloud) -> None:
    cloud.needs("2.30")
    server = cloud.settled(cloud.server("web-1"))
    order = ("server", "migrate", "--live-migration", "--wait", "--host")
    cloud.openstack(*order, "edge-1", "--block-migration", "web-1")
    assert cloud.settled(server).compute_host == "edge-1"
    cloud.openstack(*order, server.compute_host, "web-1")
    assert cloud.settled(server).compute_host == server.compute_host


def test_nova_speaks_2_1(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("worker-1"))
    old = ("--os-compute-api-version", "2.1", "live-migration")
    cloud.nova(*old, "--block-migrate", "--disk-over-commit", "worker-1")
    assert cloud.settled(server).compute_host != server.compute_host


def test_the_library_moves_a_paused_server_over_shared_storage(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("worker-4"), "PAUSED")
    cloud.sdk.compute.live_migrate_server(server, block_migration=False)
    assert cloud.settled(server, "PAUSED").compute_host != server.compute_host


def test_a_host_that_nobody_knows_is_refused(cloud: Cloud) -> None:
    order = {"host": "nosuch", "block_migration": False, "disk_over_commit": False}
    refused = cloud.act(cloud.server("web-1"), {"os-migrateLive": order}, "2.1")
    assert (refused.status_code, list(refused.json())) == (400, ["badRequest"])


def test_a_move_shows_how_far_it_is(cloud: Cloud, move: Any) -> None:
    seen = until(
        lambda: cloud.sdk.compute.get_server_migration(move.id, cloud.server(ENDLESS)),
        lambda move: move.memory_processed_bytes > 0,
    )
    assert seen.memory_total_bytes >= seen.memory_remaining_bytes > 0
    assert cloud.server(ENDLESS).status == "MIGRATING"
    if cloud.newest >= (2, 59):
        shown = cloud.openstack("server", "migration", "show", ENDLESS, seen.uuid)
        assert shown["Status"] == "running"


def test_an_aborted_move_leaves_the_server_where_it_was(cloud: Cloud, move: Any) -> None:
    cloud.openstack("server", "migration", "abort", ENDLESS, str(move.id))
    assert cloud.settled(cloud.server(ENDLESS)).compute_host == move.source_compute
    assert cloud.moves(cloud.server(ENDLESS))[-1].status == "cancelled"


def test_a_move_is_forced_to_its_end(cloud: Cloud, move: Any) -> None:
    cloud.openstack("server", "migration", "force", "complete", ENDLESS, str(move.id))
    server = cloud.settled(cloud.server(ENDLESS))
    assert server.compute_host != move.source_compute
    assert cloud.moves(server)[-1].status == "completed"
    assert list(cloud.sdk.compute.server_migrations(server.id)) == []
    with pytest.raises(openstack.exceptions.NotFoundException):
        cloud.sdk.compute.get_server_migration(move.id, server.id, ignore_missing=False)
