"""Where the record says that a server's disks lie, after a move between a local folder and a mounted one."""

from __future__ import annotations

import pytest

from servers.drivers.base import Pool
from servers.models import ActionRecord, Host, Server, ServerDisk, StoragePool
from servers.states import ActionStatus
from tests.factories import make_host
from tests.small_fleet import GIB, SmallFleet

NAME = "shared"
"""The pool of the same name that is mounted at the racks, and local at the edge."""


@pytest.fixture
def edge(fleet: SmallFleet) -> Host:
    """Return a host whose pool has the racks' name, and is its own."""
    pool = Pool(NAME, "edge:/var/lib/vms", False, 1000 * GIB, 1000 * GIB)
    fleet.simulation.add_host("edge", memory_mb=8192, pools=[pool])
    host = make_host("edge", uri="simulated:///edge", hypervisor_version=9_000_000)
    host.pools.add(StoragePool.objects.create(name=NAME, identity=pool.identity, capacity_gb=1000))
    fleet.heartbeat()
    return host


def move(fleet: SmallFleet, server: Server, host: str) -> None:
    record: ActionRecord = fleet.do(
        "live-migration", server, "2.67", host=host, block_migration="auto", force=True
    )
    assert record.status == ActionStatus.SUCCEEDED, record


def pool_of(server: Server) -> str:
    return ServerDisk.objects.select_related("pool").get(server=server).pool.identity


def test_a_disk_that_is_copied_lies_in_the_new_hosts_pool_of_that_name(fleet: SmallFleet, edge: Host) -> None:
    server = fleet.add_server()
    mounted = pool_of(server)
    move(fleet, server, "edge")
    assert pool_of(server) == "edge:/var/lib/vms"
    move(fleet, server, "node2")
    assert pool_of(server) == mounted


def test_a_disk_on_storage_that_both_hosts_mount_stays_where_it_is(fleet: SmallFleet, edge: Host) -> None:
    server = fleet.add_server()
    mounted = pool_of(server)
    move(fleet, server, "node3")
    assert pool_of(server) == mounted


def test_a_server_whose_disk_was_copied_can_be_saved_where_it_is_now(fleet: SmallFleet, edge: Host) -> None:
    server = fleet.add_server()
    move(fleet, server, "edge")
    record = fleet.do("create-backup", server, name="b", backup_type="daily", rotation=1)
    assert record.status == ActionStatus.SUCCEEDED, record
