"""A live migration by the driver beside `virsh migrate` with the same flags, in turn, between the hosts of the lab."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.figures import spread
from servers.drivers.base import HostRef, MoveOptions, Progress
from servers.drivers.libvirt.live import LibvirtLiveMigration
from tests.lab.stage import GUEST, LibvirtLab, build_boot_files, staged

PAIRS = 10
LEAST_S = 8
BANDWIDTH_MIB_S = 18
LIMIT = 1.10
DATA = Path(".data/lab").resolve()


def ignore(progress: Progress) -> None:
    """Report to nobody."""


def ability(lab: LibvirtLab, host: HostRef) -> LibvirtLiveMigration:
    return lab.driver(host).live_migration


def by_driver(lab: LibvirtLab, source: HostRef, destination: HostRef) -> None:
    """Move the guest as the action does."""
    options = MoveOptions(bandwidth_mib_s=BANDWIDTH_MIB_S)
    ability(lab, source).move(GUEST, destination, options, ignore, block_migration=True)


def by_virsh(lab: LibvirtLab, source: HostRef, destination: HostRef) -> None:
    """Move the guest with the same flags."""
    flags = (
        "--live --p2p --persistent --undefinesource --abort-on-error --copy-storage-all --migrate-disks vda"
    )
    command = ["virsh", "-q", "-c", source.uri, "migrate", *flags.split()]
    subprocess.run([*command, "--bandwidth", str(BANDWIDTH_MIB_S), GUEST.name, destination.uri], check=True)


WAYS = {"driver": by_driver, "virsh": by_virsh}


def timed(lab: LibvirtLab, way: str, source: HostRef, destination: HostRef) -> float:
    """Return how long a move takes; what it needs before, and leaves, is not counted."""
    ability(lab, destination).prepare(GUEST, source, block_migration=True)
    begun = time.monotonic()
    WAYS[way](lab, source, destination)
    took = time.monotonic() - begun
    for file in lab.host(source).images.iterdir():
        file.unlink()
    with lab.connected(lab.host(source)) as connection:
        connection.storagePoolLookupByName("default").refresh()
    return took


def main() -> int:
    """Print the figures; return 1 when the driver takes too much longer."""
    build_boot_files(DATA / "guest")
    took: dict[str, list[float]] = {"driver": [], "virsh": []}
    with tempfile.TemporaryDirectory(dir=DATA, prefix="bench-") as state:
        for lab in staged(Path(state), DATA / "guest"):
            lab.wake_guest()
            here, there = lab.source, lab.destination
            for pair in range(PAIRS):
                for way in sorted(WAYS, reverse=bool(pair % 2)):
                    took[way].append(timed(lab, way, here, there))
                    here, there = there, here
                print(f"pair {pair + 1}: driver {took['driver'][-1]:.2f} s, virsh {took['virsh'][-1]:.2f} s")
    ratios = [ours / theirs for ours, theirs in zip(took["driver"], took["virsh"], strict=True)]
    print(f"driver: {spread(took['driver'])}")
    print(f"virsh:  {spread(took['virsh'])}")
    print(f"driver / virsh, median of {PAIRS} pairs: {median(ratios):.3f}; the limit is {LIMIT}")
    if min(took["virsh"]) < LEAST_S:
        print(f"a move took less than {LEAST_S} s: the figure says little")
        return 1
    return int(median(ratios) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
