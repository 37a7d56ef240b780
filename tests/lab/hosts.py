"""Hosts of the lab: a libvirtd each in namespaces of its own, joined by a bridge; they can be crashed and cut off."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent
NUMBER = int(os.environ.get("LAB_NUMBER", "77"))
"""Tells labs on one machine apart: the network 10.NUMBER.0.0/24 and the names of the links."""
BRIDGE = f"lab{NUMBER}"
LIBVIRT_PORT = 16509

LIBVIRTD_CONF = """\
host_uuid = "00000000-0000-4000-8000-{number:012d}"
listen_tls = 1
listen_tcp = 1
listen_addr = "0.0.0.0"
auth_tcp = "none"
ca_file = "{pki}/cacert.pem"
cert_file = "{pki}/{name}cert.pem"
key_file = "{pki}/{name}key.pem"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
log_outputs = "3:file:{folder}/libvirtd.log"
"""
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
security_default_confined = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_address = "{address}"
migration_host = "{name}"
keepalive_interval = 2
keepalive_count = 4
migrate_tls_x509_cert_dir = "{qemu_pki}"
"""


def run(*command: object) -> str:
    """Run a command to its end and return what it printed. Raises CalledProcessError."""
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return done.stdout


def wait_for(what: str, true: object, limit_s: float = 20, every_s: float = 0.05) -> None:
    """Wait until true() holds; raise TimeoutError when it does not in time."""
    assert callable(true)
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit_s} s")
        time.sleep(every_s)


class LabHost:
    """One host: `number` from 1."""

    def __init__(self, state: Path, number: int) -> None:
        self.number = number
        self.name = f"node{number}"
        self.folder = state / self.name
        self.address = f"10.{NUMBER}.0.{10 + number}"
        self.link = f"{BRIDGE}h{number}"
        self.pki = state / "pki"
        self.qemu_pki = self.folder / "qemu-pki"
        self.uri = f"qemu+tcp://{self.address}/system"
        self.tls_uri = f"qemu+tls://{self.address}/system?pkipath={self.pki}"
        self.init: int | None = None
        self.outer: subprocess.Popen[bytes] | None = None

    @property
    def images(self) -> Path:
        """The folder of the pool `default`, which the host sees as /var/lib/libvirt/images."""
        return self.folder / "lib" / "images"

    def start(self) -> None:
        """Start the host, and wait until its libvirtd answers."""
        for name in ("etc", "run", "lib/images", "cache", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / "run")  # as at every boot
        (self.folder / "run").mkdir()
        facts: dict[str, object] = {"number": self.number, "folder": self.folder, "address": self.address}
        facts |= {"name": self.name, "pki": self.pki, "qemu_pki": self.qemu_pki}
        (self.folder / "etc" / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(**facts))
        (self.folder / "etc" / "qemu.conf").write_text(QEMU_CONF.format(**facts))
        spaces = ["--uts", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        self.outer = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                *spaces,
                HERE / "host-init.sh",
                self.folder,
                self.name,
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # of unshare alone; the host writes to init.log
            start_new_session=True,  # Ctrl-C is for whoever has started it
        )
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        wait_for(f"{self.name} begins", lambda: children.read_text().strip())
        self.init = int(children.read_text())
        ours = Path("/proc/self/ns/net").readlink()
        wait_for(f"{self.name} has a network", lambda: Path(f"/proc/{self.init}/ns/net").readlink() != ours)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.init)
        mac = f"52:54:00:1a:{NUMBER:02x}:{self.number:02x}"  # the same after a crash: the others remember it
        run("ip", "link", "set", self.link, "master", BRIDGE, "up")
        for command in (
            f"ip link add br0 address {mac} type bridge",
            f"ip link set eth0 address {mac}",
            "ip link set eth0 master br0 up",
            f"ip addr add {self.address}/24 dev br0",
            "ip link set br0 up",
        ):
            run("nsenter", "-t", self.init, "-n", *command.split())
        wait_for(f"libvirtd of {self.name}", self.answers)

    def answers(self) -> bool:
        """Return whether libvirtd takes connections."""
        try:
            socket.create_connection((self.address, LIBVIRT_PORT), 1).close()
        except OSError:
            return False
        return True

    def has_libvirtd(self) -> bool:
        """Return whether libvirtd runs, reachable or not."""
        pid = (self.folder / "libvirtd.pid").read_text()
        enter = ["nsenter", "-t", str(self.init), "-a", "kill", "-0", pid]
        return subprocess.run(enter, capture_output=True, check=False).returncode == 0

    def crash(self) -> None:
        """Cut the power: libvirtd and every guest die at once."""
        if self.outer is None:
            return
        if self.init is not None:
            os.kill(self.init, signal.SIGKILL)
        self.outer.wait()
        self.outer = self.init = None
        subprocess.run(
            ["ip", "link", "del", self.link], capture_output=True, check=False
        )  # gone with its peer

    def inside(self, *command: object) -> str:
        """Run a command on the host."""
        return run("nsenter", "-t", self.init, "-a", *command)

    def stop_libvirtd(self) -> None:
        """Kill libvirtd; the guests run on."""
        self.inside("kill", "-9", (self.folder / "libvirtd.pid").read_text())
        wait_for(f"libvirtd of {self.name} stops", lambda: not self.answers())

    def start_libvirtd(self) -> None:
        """Start libvirtd again."""
        command = ["libvirtd", "--listen", "--daemon", "--pid-file", str(self.folder / "libvirtd.pid")]
        enter = ["nsenter", "-t", str(self.init), "-a"]
        nothing = subprocess.DEVNULL  # it keeps what it inherits
        subprocess.run([*enter, *command], check=True, stdin=nothing, stdout=nothing, stderr=nothing)
        wait_for(f"libvirtd of {self.name}", self.answers)

    def kill_guest(self, name: str) -> None:
        """Kill the qemu of a guest."""
        self.inside("kill", "-9", (self.folder / "run" / "qemu" / f"{name}.pid").read_text())

    def cut(self) -> None:
        """Pull the network cable."""
        run("ip", "link", "set", self.link, "down")

    def heal(self) -> None:
        """Plug the network cable in again."""
        run("ip", "link", "set", self.link, "up")


def make_bridge(state: Path, hosts: list[LabHost]) -> None:
    """Join the hosts, and let them know each other's names. Raises RuntimeError where another lab runs."""
    bridge = Path("/sys/class/net") / BRIDGE
    if bridge.exists():
        if any((bridge / "brif").iterdir()):
            raise RuntimeError(f"a lab with the number {NUMBER} runs already; choose another LAB_NUMBER")
        remove_bridge()  # of a lab that was killed
    names = ["127.0.0.1 localhost", *(f"{host.address} {host.name}" for host in hosts)]
    (state / "hosts").write_text("\n".join(names) + "\n")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "addr", "add", f"10.{NUMBER}.0.1/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    run("ip", "link", "del", BRIDGE)
