"""What libvirt keeps of a guest on its host beside its disks: nothing of it is lost by a move."""

from __future__ import annotations

from collections.abc import Callable

import libvirt
import pytest

from servers.errors import DiskMoveRolledBack, MigrationPreCheckError
from servers.states import PowerState
from tests.drivers.contract import live, move, move_cold, power
from tests.lab.hosts import wait_for
from tests.lab.stage import LibvirtLab

SNAPSHOT = "<domainsnapshot><name>before</name></domainsnapshot>"
AS_A_FILE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
NO_RECORD = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA


def define(lab: LibvirtLab, old: str, new: str) -> None:
    """Change what the guest on the first host will be at its next start."""
    assert old in lab.definition
    with lab.connected(lab.host(lab.source)) as connection:
        connection.defineXML(lab.definition.replace(old, new))


def do(lab: LibvirtLab, act: Callable[[libvirt.virDomain], object]) -> object:
    """Do something with the guest on the first host, by libvirt."""
    with lab.connected(lab.host(lab.source)) as connection:
        done = act(connection.lookupByName(lab.guest.name))
        connection.storagePoolLookupByName("default").refresh()
        return done


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "<kernel>",
            "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>"
            "<nvram>/var/lib/libvirt/qemu/nvram/web.fd</nvram><kernel>",
            "UEFI variables",
        ),
        (
            "</devices>",
            "<disk type='file' device='cdrom'><source file='/seed.iso'/><target dev='hda' bus='ide'/></disk></devices>",
            "cdrom drive",
        ),
        ("<source bridge='br0'/>", "<source bridge='br7'/>", "br7"),
    ],
)
def test_a_cold_migration_that_would_leave_something_behind_is_refused_before_the_guest_is_shut_down(
    lab: LibvirtLab, old: str, new: str, reason: str
) -> None:
    define(lab, old, new)
    before = lab.heartbeat()
    with pytest.raises(DiskMoveRolledBack, match=reason):
        move_cold(lab)
    assert lab.heartbeat() > before
    assert power(lab, lab.destination) is None


def test_a_guest_with_a_snapshot_is_moved_neither_way(lab: LibvirtLab) -> None:
    do(lab, lambda domain: domain.snapshotCreateXML(SNAPSHOT, 0))
    with pytest.raises(MigrationPreCheckError, match="snapshots"):
        live(lab, lab.destination).check_destination(lab.guest, lab.source, lab.slow)
    with pytest.raises(DiskMoveRolledBack, match="snapshots"):
        move_cold(lab)
    assert lab.beating() == ["node1"]


def test_a_guest_whose_disk_is_based_on_another_that_would_stay_behind_is_moved_neither_way(
    lab: LibvirtLab,
) -> None:
    do(lab, lambda domain: domain.snapshotCreateXML(SNAPSHOT, AS_A_FILE | NO_RECORD))
    found = live(lab, lab.destination).check_destination(lab.guest, lab.source, lab.slow)
    with pytest.raises(MigrationPreCheckError, match="based on /var/lib/libvirt/images/web"):
        live(lab, lab.source).check_source(lab.guest, found, lab.slow)
    with pytest.raises(DiskMoveRolledBack, match="based on /var/lib/libvirt/images/web"):
        move_cold(lab)
    do(lab, lambda domain: domain.blockPull("vda"))
    wait_for("one file", lambda: not do(lab, lambda domain: domain.blockJobInfo("vda")))
    move(lab)
    assert lab.beating() == ["node2"]


def test_memory_that_was_saved_on_the_host_stays_there(lab: LibvirtLab) -> None:
    do(lab, lambda domain: domain.managedSave())
    with pytest.raises(DiskMoveRolledBack, match="memory is saved"):
        move_cold(lab)
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    do(lab, lambda domain: domain.create())
    assert lab.beating() == ["node1"]


def test_a_guest_that_is_gone_when_it_is_off_is_not_turned_off(lab: LibvirtLab) -> None:
    do(lab, lambda domain: domain.undefine())
    with pytest.raises(DiskMoveRolledBack, match="virsh define"):
        move_cold(lab)
    assert lab.beating() == ["node1"]


def test_a_guest_that_starts_with_its_host_does_so_where_it_has_gone(lab: LibvirtLab) -> None:
    do(lab, lambda domain: domain.setAutostart(1))
    move(lab)
    with lab.connected(lab.host(lab.destination)) as connection:
        assert connection.lookupByName(lab.guest.name).autostart() == 1
