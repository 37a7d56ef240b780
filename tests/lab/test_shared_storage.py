"""A disk that both hosts see is never copied, and never deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from servers.drivers.base import Guest, HostRef, MoveOptions
from servers.drivers.libvirt import LibvirtDriver
from servers.errors import InvalidLocalStorage, MigrationFailed
from servers.states import PowerState
from tests.drivers.contract import ignore
from tests.drivers.fences import Trusting
from tests.lab.hosts import wait_for
from tests.lab.stage import GUEST, SETTINGS, LibvirtLab

POOL = "<pool type='dir'><name>shared</name><target><path>{folder}</path></target></pool>"


class Shared:
    """The lab with the guest's disk in the pool `shared`, a folder that both hosts have."""

    def __init__(self, lab: LibvirtLab) -> None:
        self.lab = lab
        folder = lab.state / "shared"
        folder.mkdir(exist_ok=True)
        self.file = folder / "web.qcow2"
        old = GUEST.disks[0]
        self.guest: Guest = replace(GUEST, disks=(replace(old, path=str(self.file), pool="shared"),))
        self.file.write_bytes((lab.host(lab.source).images / "web.qcow2").read_bytes())
        for host in lab.hosts:
            with lab.connected(host) as connection:
                if "shared" not in [pool.name() for pool in connection.listAllStoragePools()]:
                    connection.storagePoolDefineXML(POOL.format(folder=folder)).create()
                connection.storagePoolLookupByName("shared").refresh()
        with lab.connected(lab.host(lab.source)) as connection:
            connection.lookupByName(GUEST.name).destroy()
            connection.defineXML(lab.definition.replace(old.path, str(self.file))).create()
        wait_for("the guest", lambda: lab.heartbeat() > 0, 60)

    def driver(self, ref: HostRef) -> LibvirtDriver:
        return LibvirtDriver(ref, Trusting(), replace(SETTINGS, shared_pools=frozenset({"shared"})))

    def files(self) -> list[str]:
        """Return what lies in the pool, and in the hosts' own."""
        folders = [self.file.parent, self.lab.hosts[1].images]
        return sorted(file.name for folder in folders for file in folder.iterdir())

    def md5(self) -> str:
        return hashlib.md5(self.file.read_bytes()).hexdigest()


@pytest.fixture
def shared(lab: LibvirtLab) -> Iterator[Shared]:
    yield Shared(lab)


def power(shared: Shared, ref: HostRef) -> PowerState | None:
    found = shared.driver(ref).find_guest(GUEST.uuid)
    return None if found is None else found.power_state


def test_a_shared_disk_is_not_copied_live(shared: Shared) -> None:
    source, destination = shared.lab.source, shared.lab.destination
    options = MoveOptions()
    offer = shared.driver(destination).live_migration.check_destination(shared.guest, source, options)
    assert shared.driver(source).live_migration.check_source(shared.guest, offer, options) is False
    with pytest.raises(InvalidLocalStorage):
        shared.driver(source).live_migration.check_source(
            shared.guest, offer, replace(options, block_migration=True)
        )


def test_a_share_that_libvirt_does_not_trust_keeps_the_guest_where_it_is(shared: Shared) -> None:
    """A folder on a local file system is not what libvirt calls shared: it refuses to move the guest."""
    mover = shared.driver(shared.lab.source).live_migration
    with pytest.raises(MigrationFailed, match=r"[Uu]nsafe"):
        mover.move(shared.guest, shared.lab.destination, MoveOptions(), ignore, block_migration=False)
    assert shared.lab.beating() == ["node1"]
    assert shared.files() == ["web.qcow2"]


def test_a_shared_disk_outlives_a_confirmed_move(shared: Shared) -> None:
    source, destination = shared.lab.source, shared.lab.destination
    shared.driver(source).cold_migration.move_disk_and_power_off(shared.guest, destination, ignore)
    assert shared.files() == ["web.qcow2"]
    mover = shared.driver(destination).cold_migration
    assert mover.finish(shared.guest, source, power_on=True) is PowerState.RUNNING
    shared.driver(source).cold_migration.confirm(shared.guest)
    assert power(shared, source) is None
    assert shared.files() == ["web.qcow2"]
    wait_for("the guest", lambda: shared.lab.heartbeat() > 0, 60)
    assert shared.lab.beating() == ["node2"]


def test_a_shared_disk_outlives_a_reverted_move(shared: Shared) -> None:
    source, destination = shared.lab.source, shared.lab.destination
    shared.driver(source).cold_migration.move_disk_and_power_off(shared.guest, destination, ignore)
    before = shared.md5()
    mover = shared.driver(destination).cold_migration
    mover.finish(shared.guest, source, power_on=False)
    mover.discard(shared.guest)
    assert shared.files() == ["web.qcow2"]
    assert shared.md5() == before
    shared.driver(source).cold_migration.finish_revert(shared.guest, power_on=True)
    wait_for("the guest", lambda: shared.lab.heartbeat() > 0, 60)
    assert shared.lab.beating() == ["node1"]
