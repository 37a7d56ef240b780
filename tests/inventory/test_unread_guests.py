"""A guest of which no more can be read than where it is: nothing of it is written, and it is not taken for gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from servers.drivers import limits
from servers.drivers.base import Disk, FoundGuest, HostInfo, HostRef, Pool
from servers.drivers.simulated.driver import SimulatedDriver
from servers.fleet.polling import HostReport
from servers.inventory.discovery.discover import discover
from servers.inventory.discovery.facts import found_guest, found_host
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import Server
from servers.states import PowerState
from tests.small_fleet import SmallFleet
from tests.unknown_guests import place, stranger

WHY = "a path that cannot be kept"
HOST = HostRef("node1", "libvirt", "qemu:///system")


@pytest.fixture
def odd(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> list[FoundGuest]:
    """Let no guest of the fleet be read but for where and how it is; return what was told of them."""
    told: list[FoundGuest] = []
    list_guests = SimulatedDriver.list_guests

    def list_bare(driver: SimulatedDriver) -> list[FoundGuest]:
        bare = [FoundGuest(g.uuid, g.name, g.power_state, unread=WHY) for g in list_guests(driver)]
        told.extend(bare)
        return bare

    monkeypatch.setattr(SimulatedDriver, "list_guests", list_bare)
    return told


def planned(server: str) -> list[tuple[str, str]]:
    """Return what discovery would do about the guest of this name, each with its obstacle."""
    return [(c.kind.value, c.obstacle) for c in discover().changes if c.name == server]


def test_a_stranger_that_cannot_be_read_is_not_adopted(fleet: SmallFleet, odd: list[FoundGuest]) -> None:
    place(fleet, stranger("mail"))
    assert planned("mail") == [("guest_new", f"it could not be read: {WHY}")]


def test_a_guest_that_cannot_be_read_is_not_gone_and_stays_as_it_is_recorded(
    fleet: SmallFleet, odd: list[FoundGuest]
) -> None:
    server = fleet.add_server()
    assert planned(server.name) == []
    assert [guest.uuid for guest in odd] == [server.pk]


def test_a_guest_that_cannot_be_read_is_not_recorded_where_it_was_moved_to(
    fleet: SmallFleet, odd: list[FoundGuest]
) -> None:
    server = fleet.add_server()
    fleet.simulation.remove_guest("node1", server.pk)
    place(fleet, stranger("moved", uuid=server.pk), "node2")
    assert planned(server.name) == [("guest_moved", f"it could not be read: {WHY}")]


def test_nothing_is_repaired_by_a_guest_that_cannot_be_read(fleet: SmallFleet, odd: list[FoundGuest]) -> None:
    server = fleet.add_server()
    Server.objects.filter(pk=server.pk).update(power_state=PowerState.PAUSED, task_state="migrating")
    found = [each.finding for each in reconcile().found if each.finding.server == server.pk]
    assert found and not any(finding.safe for finding in found)
    assert Server.objects.get(pk=server.pk).task_state == "migrating"


# ------------------------------------------------------------------------------------- as wide as the records


def test_an_identity_of_a_pool_fits_its_record_on_every_host() -> None:
    long = replace(HOST, name="n" * 255)
    pool = Pool("disks", "dir:" + "i" * 251, shared=False, capacity_bytes=0, available_bytes=0)
    disk = Disk("vda", "/" + "p" * 1000 + "/web.qcow2", "", 1, 1)
    info = HostInfo("QEMU", 1, "node1", 1, 1, 1, pools=(pool,))
    guest = FoundGuest(Server().pk, "web", PowerState.RUNNING, disks=(disk,))
    pools = found_host(long, HostReport(info, (guest,))).pools
    assert len({pool.identity for pool in pools}) == 2
    assert all(len(text) <= limits.NAME for pool in pools for text in (pool.identity, pool.name))
    assert found_guest(guest, long.name, info).disks[0].pool in pools
