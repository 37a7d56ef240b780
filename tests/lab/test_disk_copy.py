"""A disk is copied as it is: byte for byte, and empty where it is empty."""

from __future__ import annotations

import hashlib
from pathlib import Path

from servers.drivers.base import Disk
from servers.states import PowerState
from tests.drivers.contract import cold, ignore
from tests.lab.hosts import run
from tests.lab.stage import GUEST, IMAGES, LibvirtLab

GIB = 1024**3
MIB = 1024**2


def make_thin(file: Path) -> None:
    """Make a raw disk of 2 GiB with a little at its beginning, in the middle of it, and before its end."""
    run("truncate", "-s", 2 * GIB, file)
    with file.open("r+b") as disk:
        for place in (0, GIB + 4096, 2 * GIB - 3 * MIB):
            disk.seek(place)
            disk.write(bytes(range(1, 256)) * 4096)


def taken(file: Path) -> int:
    return file.stat().st_blocks * 512


def md5(file: Path) -> str:
    with file.open("rb") as disk:
        return hashlib.file_digest(disk, "md5").hexdigest()


def test_a_thin_disk_stays_thin_and_is_the_same(lab: LibvirtLab) -> None:
    here, there = (lab.host(ref).images / "thin.raw" for ref in (lab.source, lab.destination))
    make_thin(here)
    thin = f"{IMAGES}/thin.raw"
    with lab.connected(lab.host(lab.source)) as connection:
        connection.storagePoolLookupByName("default").refresh()
        connection.lookupByName(GUEST.name).destroy()
        of_qcow2 = "<driver name='qemu' type='qcow2' cache='none'/>"
        definition = lab.definition.replace(of_qcow2, of_qcow2.replace("qcow2", "raw"))
        connection.defineXML(definition.replace(GUEST.disks[0].path, thin))
    assert Disk("vda", thin, "default", 2 * GIB, taken(here), "raw") in found_disks(lab)
    cold(lab, lab.source).move_disk_and_power_off(GUEST, lab.destination, ignore)
    state = cold(lab, lab.destination).finish(GUEST, lab.source, power_on=False)
    assert state is PowerState.SHUTDOWN
    assert md5(there) == md5(here)
    assert taken(there) <= taken(here) + MIB < 8 * MIB


def found_disks(lab: LibvirtLab) -> tuple[Disk, ...]:
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    assert found is not None
    return found.disks
