"""Room on hosts: nobody is promised what another one has, and every move gives back what it took."""

from __future__ import annotations

import pytest

from servers.actions.task import MoveAllocations
from servers.engine.capacity import claims
from servers.errors import AllocationUpdateFailed, ComputeResourcesUnavailable
from servers.models import Allocation, Host, Migration, Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def hosts() -> list[Host]:
    return [
        Host.objects.create(
            name=name,
            hypervisor_hostname=name,
            vcpus=4,
            cpu_ratio=1,
            memory_mb=2048,
            reserved_memory_mb=0,
            disk_gb=100,
        )
        for name in ("node1", "node2")
    ]


@pytest.fixture
def server(hosts: list[Host]) -> Server:
    server = make_server(hosts[0])
    claims.claim(server.pk, "node1")
    return server


def make_server(host: Host) -> Server:
    return Server.objects.create(
        name="web", project_id="p", user_id="u", host=host, vcpus=2, memory_mb=1024, root_gb=10
    )


def make_migration(server: Server) -> Migration:
    return Migration.objects.create(
        server=server, migration_type="migration", source_compute="node1", user_id="u", project_id="p"
    )


def holders() -> set[tuple[str, str]]:
    return {
        (a.host.name, "server" if a.server_id else "migration")
        for a in Allocation.objects.select_related("host")
    }


def test_claim_twice_charges_once(server: Server) -> None:
    claims.claim(server.pk, "node1")
    assert holders() == {("node1", "server")}


def test_both_hosts_are_charged_during_a_move(server: Server) -> None:
    migration = make_migration(server)
    claims.charge_migration(server.pk, migration)
    claims.claim(server.pk, "node2")
    assert holders() == {("node1", "migration"), ("node2", "server")}


@pytest.mark.parametrize(
    ("charge", "host"), [(MoveAllocations.TO_DESTINATION, "node2"), (MoveAllocations.BACK_TO_SOURCE, "node1")]
)
def test_end_of_a_move_leaves_one_host_charged_however_often_it_is_written(
    server: Server, charge: MoveAllocations, host: str
) -> None:
    migration = make_migration(server)
    claims.charge_migration(server.pk, migration)
    claims.claim(server.pk, "node2")
    for _ in range(2):
        claims.finish_move_allocations(server.pk, migration.pk, charge)
        assert holders() == {(host, "server")}


def test_release_never_gives_the_source_back(server: Server) -> None:
    migration = make_migration(server)
    claims.release(server.pk, migration.pk)
    assert holders() == {("node1", "server")}


def test_claim_without_room_says_what_is_missing(hosts: list[Host], server: Server) -> None:
    claims.claim(make_server(hosts[0]).pk, "node1")
    with pytest.raises(ComputeResourcesUnavailable, match="2 vCPU wanted, 0 of 4 free on node1"):
        claims.claim(make_server(hosts[0]).pk, "node1")


def test_claim_gives_up_on_a_host_that_never_stands_still(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "bump", lambda host: False)
    with pytest.raises(AllocationUpdateFailed):
        claims.claim(server.pk, "node2")
    assert holders() == {("node1", "server")}


def test_claim_fails_when_the_generation_has_moved_on(hosts: list[Host]) -> None:
    stale = Host.objects.get(name="node1")
    assert claims.bump(Host.objects.get(name="node1"))
    assert not claims.bump(stale)


def test_a_ratio_enlarges_no_machine_for_one_server(hosts: list[Host]) -> None:
    Host.objects.filter(name="node1").update(cpu_ratio=16)
    server = make_server(hosts[1])
    Server.objects.filter(pk=server.pk).update(vcpus=5)
    with pytest.raises(ComputeResourcesUnavailable, match=r"5 .* wanted, node1 has 4"):
        claims.claim(server.pk, "node1")


def test_a_guest_that_is_recorded_as_it_is_makes_older_counts_of_its_host_void(hosts: list[Host]) -> None:
    counted = Host.objects.get(name="node1")
    claims.allocate(make_server(hosts[0]))
    assert not claims.bump(counted)
    assert claims.bump(Host.objects.get(name="node1"))
