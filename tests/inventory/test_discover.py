"""Adoption: what hypervisors have becomes records, after somebody has agreed to the plan, and once only."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext

from servers.drivers.base import Pool
from servers.engine.capacity import claims
from servers.fleet.drivers import new_ref, refresh_host
from servers.fleet.polling import Answer
from servers.inventory.discovery import apply_hosts
from servers.inventory.discovery.apply import CHANGED, Owner, adopt
from servers.inventory.discovery.discover import BUSY, discover, make_plan
from servers.inventory.discovery.facts import PoolFacts
from servers.inventory.discovery.plan import ChangeKind, Plan
from servers.inventory.discovery.recorded import read_known
from servers.models import Allocation, Flavor, Host, NetworkInterface, Server, ServerDisk, StoragePool
from servers.states import PowerState
from tests.small_fleet import GIB, SHARED, SmallFleet
from tests.unknown_guests import place, run_twice, stranger


def kinds(plan: Plan) -> list[tuple[str, str, str]]:
    """Return what a plan says: kind, host, name."""
    return [(c.kind.value, c.host, c.name) for c in plan.changes]


def go(fleet: SmallFleet, plan: Plan | None = None) -> Plan:
    """Write a plan, a new one where none is given; return it."""
    plan = plan or discover()
    adopt(plan, Owner(fleet.project.pk, "somebody"))
    return plan


@pytest.fixture
def known(fleet: SmallFleet) -> SmallFleet:
    """Return the fleet with hosts recorded as they describe themselves."""
    go(fleet)
    return fleet


def test_plan_writes_nothing(fleet: SmallFleet) -> None:
    place(fleet, stranger())
    before = list(Host.objects.values())
    assert ("guest_new", "node1", "Old mail server") in kinds(discover())
    assert not Server.objects.exists() and list(Host.objects.values()) == before


def test_second_run_has_nothing_to_do(fleet: SmallFleet) -> None:
    place(fleet, stranger())
    place(fleet, stranger("in no pool", pool="local"), "node2", PowerState.SHUTDOWN)
    fleet.add_server()
    fleet.add_server("second", "node2", storage="local")
    fleet.add_server("third", "node3", storage="none")
    go(fleet)
    assert discover().changes == ()


def test_new_host_comes_with_its_guests_and_pools(fleet: SmallFleet) -> None:
    local = Pool("images", "/var/lib/libvirt/images", False, 500 * GIB, 0)
    fleet.simulation.add_host("attic", vcpus=4, memory_mb=4096, disk_gb=500, pools=[local])
    place(fleet, stranger(pool="images"), "attic")
    plan = discover([new_ref("attic", "simulated", "simulated:///attic", "qemu")], only=["attic"])
    assert kinds(plan) == [("host_new", "attic", "attic"), ("guest_new", "attic", "Old mail server")]
    go(fleet, plan)
    host = Host.objects.get(name="attic")
    assert (host.vcpus, host.memory_mb, host.disk_gb, host.domain_type) == (4, 4096, 500, "qemu")
    assert host.is_up and host.hypervisor_version == 9_000_000
    assert [(p.identity, p.shared) for p in host.pools.all()] == [("attic:/var/lib/libvirt/images", False)]
    assert ServerDisk.objects.get().pool == host.pools.get()


def test_same_local_path_on_two_hosts_is_two_pools_and_a_shared_one_is_one(fleet: SmallFleet) -> None:
    for name in ("a", "b"):
        pools = [Pool("default", "/images", False, GIB, 0), Pool(f"nfs on {name}", "nfs:/x", True, GIB, 0)]
        fleet.simulation.add_host(name, pools=pools)
    hosts = [new_ref(name, "simulated", f"simulated:///{name}", "kvm") for name in ("a", "b")]
    go(fleet, discover(hosts))
    assert set(StoragePool.objects.filter(hosts__name="a").values_list("identity", flat=True)) == {
        "a:/images",
        "nfs:/x",
    }
    assert StoragePool.objects.get(identity="nfs:/x").hosts.count() == 2
    assert discover().changes == ()


@pytest.mark.parametrize(
    ("power", "vm_state"),
    [
        (PowerState.RUNNING, "active"),
        (PowerState.PAUSED, "paused"),
        (PowerState.SHUTDOWN, "stopped"),
        (PowerState.CRASHED, "stopped"),
        (PowerState.SUSPENDED, "suspended"),
    ],
)
def test_adopted_server_is_what_its_guest_is(known: SmallFleet, power: PowerState, vm_state: str) -> None:
    guest = place(known, stranger(), power=power)
    go(known)
    server = Server.objects.get()
    assert (server.pk, server.name, server.instance_name) == (guest.uuid, guest.name, guest.name)
    assert (server.vm_state, server.task_state, server.power_state) == (vm_state, "", power)
    assert (server.host and server.host.name, server.project_id) == ("node1", known.project.pk)
    assert server.launched_at and server.seen_at


def test_adopted_server_has_a_flavor_disks_interfaces_and_room(known: SmallFleet) -> None:
    place(known, stranger())
    go(known)
    server = Server.objects.get()
    assert server.flavor is not None
    assert (server.flavor.vcpus, server.flavor.memory_mb, server.flavor.root_gb) == (2, 1024, 10)
    assert (server.vcpus, server.memory_mb, server.root_gb, server.flavor_name) == (
        2,
        1024,
        10,
        server.flavor.name,
    )
    disk = ServerDisk.objects.get()
    assert (disk.device, disk.path, disk.size_bytes) == ("vda", "/srv/Old mail server.qcow2", 10 * GIB)
    assert NetworkInterface.objects.get().mac == "52:54:00:aa:00:01"
    room = Allocation.objects.get()
    assert (room.server, room.host.name, room.vcpus, room.memory_mb, room.disk_gb) == (
        server,
        "node1",
        2,
        1024,
        10,
    )


def test_guests_of_one_size_share_a_flavor(known: SmallFleet) -> None:
    place(known, stranger("a")), place(known, stranger("b"), "node2")
    go(known)
    assert Flavor.objects.count() == 1


def test_adopted_server_can_be_moved(known: SmallFleet) -> None:
    guest = place(known, stranger(pool="shared"))
    go(known)
    known.heartbeat()
    action = known.do("live-migration", Server.objects.get(), host=None, block_migration="auto")
    assert action.status == "succeeded", action.error_text
    assert known.simulation.running_on(guest.uuid) == "node2"
    assert discover().changes == ()


def test_what_has_changed_on_a_host_and_in_a_guest_is_taken_over(known: SmallFleet) -> None:
    guest = place(known, stranger())
    go(known)
    known.simulation.remove_guest("node1", guest.uuid)
    larger = stranger(uuid=guest.uuid, pool="shared")
    place(known, larger.__class__(larger.uuid, "renamed", 4, 2048, larger.disks, ()))
    known.simulation.add_host("node1", memory_mb=16384, pools=[])
    known.simulation.add_host(
        "node1", memory_mb=16384, pools=[Pool("shared", "nfs://store/vms", True, 1000 * GIB, 0)]
    )
    plan = discover()
    assert kinds(plan) == [("host_changed", "node1", "node1"), ("guest_changed", "node1", "Old mail server")]
    named = {d.name for d in plan.changes[1].differences}
    assert named == {"name there", "vcpus", "memory", "disk vda", "interface 52:54:00:aa:00:01"}
    go(known, plan)
    server = Server.objects.get()
    assert (server.vcpus, server.memory_mb, server.instance_name, server.name) == (
        4,
        2048,
        "renamed",
        guest.name,
    )
    assert server.disks.get().pool.shared and not server.interfaces.exists()
    assert Allocation.objects.get().memory_mb == 2048
    assert discover().changes == ()


def test_a_pool_that_cannot_be_written_now_stays_with_its_host(
    known: SmallFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(Host.objects.get(name="node1").pools.values_list("identity", flat=True))
    write_pool = apply_hosts.write_pool

    def shared_fails(facts: PoolFacts) -> StoragePool:
        if facts.shared:
            raise DataError("out of range")
        return write_pool(facts)

    monkeypatch.setattr(apply_hosts, "write_pool", shared_fails)
    known.simulation.add_host("node1", memory_mb=16384, pools=[SHARED])
    (change,) = adopt(discover(), Owner(known.project.pk, "somebody")).left
    assert "written without" in change.obstacle
    assert before >= {SHARED.identity}
    assert set(Host.objects.get(name="node1").pools.values_list("identity", flat=True)) == {SHARED.identity}


def test_room_that_was_counted_before_a_host_was_found_smaller_is_counted_again(known: SmallFleet) -> None:
    counted = Host.objects.get(name="node1")
    known.simulation.add_host("node1", memory_mb=1024, pools=[])
    assert kinds(go(known)) == [("host_changed", "node1", "node1")]
    assert not claims.bump(counted)
    assert claims.bump(Host.objects.get(name="node1"))


def test_guest_that_was_moved_by_hand_is_followed(known: SmallFleet) -> None:
    guest = place(known, stranger(pool="shared"))
    go(known)
    known.simulation.remove_guest("node1", guest.uuid)
    place(known, guest, "node3")
    plan = discover()
    assert kinds(plan) == [("guest_moved", "node3", guest.name)]
    go(known, plan)
    assert known.state(Server.objects.get())["host"] == "node3"
    assert known.state(Server.objects.get())["server_charged_on"] == ["node3"]


def test_guest_that_is_gone_puts_its_server_into_error_and_deletes_nothing(known: SmallFleet) -> None:
    server = known.add_server()
    known.simulation.remove_guest("node1", server.pk)
    plan = go(known)
    assert kinds(plan) == [("guest_gone", "node1", "web")]
    server.refresh_from_db()
    assert (server.vm_state, server.fault_code) == ("error", "guest_not_found")
    assert "is not defined on host node1" in server.fault_message
    assert server.disks.exists() and Allocation.objects.filter(server=server).exists()
    assert discover().changes == ()


def test_guest_that_comes_back_takes_its_server_out_of_error(known: SmallFleet) -> None:
    server = known.add_server()
    known.simulation.remove_guest("node1", server.pk)
    go(known)
    from_record = stranger(uuid=server.pk)
    place(known, from_record)
    assert [c.kind for c in go(known).changes] == [ChangeKind.GUEST_BACK]
    server.refresh_from_db()
    assert (server.vm_state, server.fault_code, server.power_state) == ("active", "", PowerState.RUNNING)
    assert discover().changes == ()


def test_guest_is_not_gone_while_a_host_is_silent(known: SmallFleet) -> None:
    server = known.add_server()
    known.simulation.remove_guest("node1", server.pk)
    known.simulation.lose_host("node3")
    plan = go(known)
    assert [c.obstacle for c in plan.changes if c.kind is ChangeKind.GUEST_GONE] == [
        "not every host has answered"
    ]
    server.refresh_from_db()
    assert server.vm_state == "active"


def test_stranger_on_two_hosts_is_reported_and_not_adopted(known: SmallFleet) -> None:
    guest = place(known, stranger(pool="shared"))
    place(known, guest, "node2", PowerState.SHUTDOWN)
    plan = go(known)
    assert [(c.kind.value, c.obstacle.split(":")[0]) for c in plan.changes] == [
        ("guest_twice", "seen on node1 and node2")
    ]
    assert not Server.objects.exists()


def test_server_on_two_hosts_is_reported_and_left_alone(known: SmallFleet) -> None:
    server = known.add_server()
    run_twice(known, server, "node2")
    before = known.state(server)
    assert kinds(go(known)) == [("guest_twice", "node1", "web")]
    assert known.state(server)["host"] == before["host"]


def test_old_copy_of_a_move_that_waits_is_no_second_guest(known: SmallFleet) -> None:
    server = known.add_server(storage="local")
    known.do("migrate", server)
    assert known.simulation.defined_on(server.pk) == ["node1", "node2"]
    assert discover().changes == ()


def test_guest_with_a_running_action_is_left_alone(known: SmallFleet) -> None:
    server = known.add_server()
    known.submit("live-migration", server, host=None, block_migration="auto")
    known.simulation.remove_guest("node1", server.pk)
    plan = go(known)
    assert [(c.kind.value, c.obstacle) for c in plan.changes] == [("guest_gone", BUSY)]
    server.refresh_from_db()
    assert server.vm_state == "active"


def test_host_that_does_not_answer_is_reported_and_the_others_go_on(known: SmallFleet) -> None:
    server = known.add_server(host="node2")
    place(known, stranger())
    known.simulation.lose_host("node2")
    plan = go(known)
    assert kinds(plan) == [("host_silent", "node2", "node2"), ("guest_new", "node1", "Old mail server")]
    assert plan.changes[0].obstacle == "Connection to the hypervisor is broken on host"
    assert Server.objects.count() == 2
    assert known.state(server)["vm_state"] == "active"


def test_guest_seen_elsewhere_while_its_own_host_is_silent_is_left_alone(known: SmallFleet) -> None:
    server = known.add_server(power_state=PowerState.SHUTDOWN, vm_state="stopped")
    place(known, stranger(uuid=server.pk), "node2")
    known.simulation.lose_host("node1")
    moved = next(c for c in go(known).changes if c.kind is ChangeKind.GUEST_MOVED)
    assert moved.obstacle == "node1, where it is recorded, does not answer"
    assert known.state(server)["host"] == "node1"


def test_one_hypervisor_under_two_names_is_refused_with_its_guests(known: SmallFleet) -> None:
    place(known, stranger())
    plan = go(known, discover([new_ref("again", "simulated", "simulated:///node1", "kvm")]))
    assert [(c.kind.value, c.host, bool(c.obstacle)) for c in plan.changes] == [
        ("host_new", "again", True),
        ("guest_new", "node1", False),
    ]
    assert not Host.objects.filter(name="again").exists()


def test_guest_of_a_deleted_server_is_not_adopted(known: SmallFleet) -> None:
    server = known.add_server()
    Server.objects.filter(pk=server.pk).update(deleted_at=server.created_at)
    assert [c.obstacle for c in go(known).changes] == ["a server with this UUID was deleted"]


def test_disk_outside_of_every_pool_gets_its_folder_for_one(known: SmallFleet) -> None:
    guest = place(known, stranger())
    plan = discover()
    report = plan.found["node1"].value
    assert report is not None
    (seen,) = report.guests
    outside = replace(seen, disks=(replace(seen.disks[0], pool=""),))
    found = {**plan.found, "node1": Answer(replace(report, guests=(outside,)))}
    go(known, make_plan(plan.hosts, found, read_known(), frozenset()))
    assert ServerDisk.objects.get(server_id=guest.uuid).pool.identity == "node1:/srv"
    assert StoragePool.objects.get(identity="node1:/srv").hosts.get().name == "node1"
    assert make_plan(plan.hosts, found, read_known(), frozenset()).changes == ()


def test_what_has_changed_since_the_plan_is_left_alone_and_named_and_the_rest_is_written(
    known: SmallFleet,
) -> None:
    lost, other = known.add_server("lost", memory_mb=16), known.add_server("other", memory_mb=16)
    for server in (lost, other):
        known.simulation.remove_guest("node1", server.pk)
    place(known, stranger("mail"))
    plan = discover()
    known.submit("migrate", lost)
    adopted = adopt(plan, Owner(known.project.pk, "somebody"))
    assert [(c.name, c.obstacle) for c in adopted.left] == [("lost", BUSY)]
    assert sorted(c.name for c in adopted.written) == ["mail", "other"]
    assert (known.state(lost)["vm_state"], known.state(other)["vm_state"]) == ("active", "error")
    assert Server.objects.filter(name="mail").exists()


def test_record_that_was_changed_and_says_the_same_again_is_left_alone(known: SmallFleet) -> None:
    server = known.add_server()
    known.simulation.remove_guest("node1", server.pk)
    plan = discover()
    known.do("lock", server)
    assert [c.obstacle for c in adopt(plan, Owner(known.project.pk, "somebody")).left] == [CHANGED]
    assert known.state(server)["vm_state"] == "active"


def test_host_that_somebody_else_has_written_meanwhile_is_left_alone_with_what_is_new_there(
    fleet: SmallFleet,
) -> None:
    fleet.simulation.add_host("attic", pools=[])
    place(fleet, replace(stranger("mail"), disks=()), "attic")
    added = [new_ref("attic", "simulated", "simulated:///attic", "kvm")]
    plan, other = discover(added, only=["attic"]), discover(added, only=["attic"])
    go(fleet, other)
    left = adopt(plan, Owner(fleet.project.pk, "somebody")).left
    assert [(c.kind, c.obstacle) for c in left] == [
        (ChangeKind.HOST_NEW, CHANGED),
        (ChangeKind.GUEST_NEW, CHANGED),
    ]
    assert Server.objects.count() == 1


def test_host_that_is_taken_away_meanwhile_is_no_place_for_its_guests(known: SmallFleet) -> None:
    known.simulation.add_host("attic", pools=[])
    go(known, discover([new_ref("attic", "simulated", "simulated:///attic", "kvm")]))
    place(known, replace(stranger("mail"), disks=()), "attic")
    plan = discover()
    Host.objects.get(name="attic").delete()
    assert [c.obstacle for c in adopt(plan, Owner(known.project.pk, "somebody")).left] == [
        "its host attic is not recorded"
    ]


def test_names_limit_the_plan_to_some_hosts(known: SmallFleet) -> None:
    place(known, stranger("a"), "node1"), place(known, stranger("b"), "node2")
    assert kinds(discover(only=["node2"])) == [("guest_new", "node2", "b")]


def digests(plan: Plan) -> set[str]:
    return {change.digest for change in plan.changes}


def test_changes_that_say_the_same_have_the_same_digest(known: SmallFleet) -> None:
    place(known, stranger())
    first = digests(discover())
    for host in Host.objects.all():
        refresh_host(host)
    assert digests(discover()) == first
    place(known, stranger("b", uuid=uuid4()))
    assert digests(discover()) > first


def test_plan_narrowed_to_what_was_shown_writes_nothing_else(known: SmallFleet) -> None:
    place(known, stranger("shown"))
    shown = digests(discover())
    place(known, stranger("not shown"))
    adopted = adopt(discover().narrowed(shown), Owner(known.project.pk, "somebody"))
    assert [c.name for c in adopted.written] == ["shown"] and adopted.left == ()
    assert Server.objects.get().name == "shown"


@pytest.mark.parametrize("number", [1, 12])
def test_plan_costs_the_same_with_any_number_of_servers(number: int, known: SmallFleet) -> None:
    for n in range(number):
        known.add_server(f"s{n}", vcpus=0, memory_mb=1, root_gb=0)
        place(known, stranger(f"new {n}"), "node2")
    with CaptureQueriesContext(connection) as queries:
        discover()
    assert len(queries) == 10, [query["sql"][:90] for query in queries.captured_queries]
