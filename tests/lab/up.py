"""Gantry on two real hosts of this machine, with guests that run: `make up FLEET=lab`. Nothing is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import UUID

from tests.lab.conditions import missing
from tests.lab.hosts import run, wait_for
from tests.lab.stage import DOMAIN, GUEST, IMAGES, READY_S, LibvirtLab, build_boot_files, staged
from tests.running import ROOT
from tests.shares import ALL

BOOT = ROOT / ".data/lab/guest"
MANAGE = [sys.executable, str(ROOT / "manage.py")]
MORE = ("db", "mail")
"""Guests beside `web`."""


def add_guest(lab: LibvirtLab, name: str, number: int) -> None:
    """Boot one more guest on the first host."""
    host = lab.host(lab.source)
    run("cp", "--sparse=always", lab.state / "web.qcow2", host.images / f"{name}.qcow2")
    with lab.connected(host) as connection:
        connection.storagePoolLookupByName("default").refresh()
        connection.defineXML(
            DOMAIN.format(
                name=name,
                uuid=UUID(int=GUEST.uuid.int + number),
                memory_mb=GUEST.memory_mb,
                boot=lab.boot,
                disk=f"{IMAGES}/{name}.qcow2",
                mac=f"52:54:00:00:00:{number + 1:02x}",
            )
        ).create()


def main() -> int:
    """Start the hosts, read them in, and run Gantry until Ctrl-C; return its exit code."""
    os.environ["LAB"] = ALL
    if reason := missing():
        sys.exit(f"The lab cannot be started here: {reason}.")
    build_boot_files(BOOT)
    with tempfile.TemporaryDirectory(dir=BOOT.parent, prefix="up-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        environment = {**os.environ, "DATA_DIR": str(data), "ALLOW_ROOT": "true"}
        for lab in staged(Path(folder) / "hosts", BOOT):
            lab.wake_guest()
            for number, name in enumerate(MORE, start=1):
                add_guest(lab, name, number)
            with subprocess.Popen([*MANAGE, "up", "--empty"], env=environment) as gantry:
                for asked in (signal.SIGINT, signal.SIGTERM):  # the hosts stop after Gantry, not with it
                    signal.signal(asked, lambda number, frame: gantry.terminate())
                wait_for("Gantry", lambda: gantry.poll() is not None or (data / "openrc").exists(), READY_S)
                if gantry.poll() is None:
                    hosts = [f"--add={host.name}={host.uri}" for host in lab.hosts]
                    read_in = [*MANAGE, "discover", *hosts, "--domain-type=qemu", "--yes"]
                    subprocess.run(read_in, env=environment, check=True)
                return gantry.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
