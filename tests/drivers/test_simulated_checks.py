"""Which destinations the simulated fleet refuses, and with what words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from servers.drivers.base import DestinationCheck, Guest, MoveOptions
from servers.errors import (
    DestinationHypervisorTooOld,
    InvalidCPUInfo,
    InvalidHypervisorType,
    InvalidLocalStorage,
    InvalidSharedStorage,
    MigrationPreCheckError,
    UnableToMigrateToSelf,
)
from tests.drivers.contract import live
from tests.drivers.fleet import DISKLESS, GIB, GUEST, SimulatedLab, pool


def offer(lab: SimulatedLab, options: MoveOptions = SimulatedLab.slow) -> DestinationCheck:
    return live(lab, lab.destination).check_destination(GUEST, lab.source, options)


def block(
    lab: SimulatedLab, wanted: bool | None, *, over_commit: bool | None = None, guest: Guest = GUEST
) -> bool:
    """Return what both checks together say of the disks."""
    options = MoveOptions(block_migration=wanted, disk_over_commit=over_commit)
    found = live(lab, lab.destination).check_destination(guest, lab.source, options)
    return live(lab, lab.source).check_source(guest, found, options)


def test_a_host_names_itself_when_it_is_no_destination(lab: SimulatedLab) -> None:
    with pytest.raises(UnableToMigrateToSelf) as caught:
        live(lab, lab.source).check_destination(GUEST, lab.source, lab.slow)
    assert str(caught.value) == f"Unable to migrate instance ({GUEST.uuid}) to current host (node1)."


def test_another_kind_of_hypervisor_is_refused(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", hypervisor_type="Xen")
    with pytest.raises(InvalidHypervisorType):
        offer(lab)


def test_an_older_hypervisor_is_refused(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", version=8_999_000)
    with pytest.raises(DestinationHypervisorTooOld):
        offer(lab)


def test_a_newer_hypervisor_is_accepted(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", version=10_000_000)
    assert offer(lab).host == "node2"


@pytest.mark.parametrize("model", ["Haswell", "EPYC-Milan", "homemade", ""])
def test_a_cpu_that_lacks_something_is_refused(lab: SimulatedLab, model: str) -> None:
    lab.fleet.add_host("node2", cpu_model=model)
    with pytest.raises(
        InvalidCPUInfo, match=r"Unacceptable CPU info: node2 has .* Cascadelake-Server of node1"
    ):
        offer(lab)


@pytest.mark.parametrize("model", ["Cascadelake-Server", "Icelake-Server"])
def test_an_equal_or_newer_cpu_is_accepted(lab: SimulatedLab, model: str) -> None:
    lab.fleet.add_host("node2", cpu_model=model)
    assert offer(lab).host == "node2"


def test_a_host_without_the_pool_is_refused(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", pools=[pool(name="fast")])
    with pytest.raises(MigrationPreCheckError, match="no storage pool default"):
        offer(lab)


def test_the_storage_decides_when_nobody_else_does(lab: SimulatedLab) -> None:
    assert block(lab, None) is True
    lab.share_disks()
    assert block(lab, None) is False


def test_block_migration_is_refused_on_shared_storage(lab: SimulatedLab) -> None:
    lab.share_disks()
    with pytest.raises(InvalidLocalStorage) as caught:
        block(lab, True)
    assert str(caught.value) == (
        "node1 is not on local storage: Block migration can not be used with shared storage."
    )


def test_local_disks_need_block_migration(lab: SimulatedLab) -> None:
    with pytest.raises(InvalidSharedStorage) as caught:
        block(lab, False)
    assert str(caught.value) == (
        "node1 is not on shared storage: Shared storage live-migration requires either shared storage"
        " or boot-from-volume with no local disks."
    )


def test_both_hosts_have_to_say_that_a_pool_is_shared(lab: SimulatedLab) -> None:
    lab.share_disks()
    lab.fleet.add_host("node2", pools=[pool("nfs:/export", shared=False)])
    assert block(lab, None) is True


def test_a_shared_pool_may_have_another_name_there(lab: SimulatedLab) -> None:
    lab.share_disks()
    lab.fleet.add_host("node2", pools=[pool("nfs:/export", shared=True, name="nfs")])
    assert block(lab, False) is False
    live(lab, lab.destination).prepare(GUEST, lab.source, block_migration=False)
    assert lab.fleet.disk_md5("node2", GUEST.uuid) == lab.fleet.disk_md5("node1", GUEST.uuid)


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_guest_without_disks_goes_any_way(lab: SimulatedLab, wanted: bool | None) -> None:
    lab.fleet.add_guest("node1", DISKLESS)
    assert block(lab, wanted, guest=DISKLESS) is bool(wanted)


def test_the_promised_size_counts_without_over_commit(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", pools=[pool(capacity_bytes=5 * GIB)])
    with pytest.raises(MigrationPreCheckError) as caught:
        block(lab, True, over_commit=False)
    assert str(caught.value) == (
        f"Migration pre-check error: Unable to migrate {GUEST.uuid}: Disk of instance is too large"
        f"(available on destination host:{5 * GIB} < need:{10 * GIB})"
    )


def test_the_used_size_counts_with_over_commit(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", pools=[pool(capacity_bytes=5 * GIB)])
    assert block(lab, True, over_commit=True) is True


def test_what_is_promised_to_others_is_not_available_without_over_commit(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", pools=[pool(capacity_bytes=15 * GIB)])
    disk = replace(GUEST.disks[0], path="/var/lib/libvirt/images/other.qcow2", used_bytes=0)
    lab.fleet.add_guest("node2", replace(DISKLESS, disks=(disk,)))
    assert block(lab, True, over_commit=True) is True
    with pytest.raises(MigrationPreCheckError, match=f"host:{5 * GIB} < need:{10 * GIB}"):
        block(lab, True, over_commit=False)


def test_no_room_is_asked_for_when_over_commit_is_not_given(lab: SimulatedLab) -> None:
    lab.fleet.add_host("node2", pools=[pool(capacity_bytes=0)])
    assert block(lab, True) is True
