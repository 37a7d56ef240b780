"""A guest in a network namespace: real interfaces, real tools, folders of its own for configuration."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from servers.drivers.guest_network import Survey
from servers.drivers.guest_network.base import GuestFile
from servers.drivers.guest_network.script import Run, survey
from tests.drivers.guest_network.samples import MAC, SECOND_MAC

LIMIT_S = 90
NEW = ("unshare", "--net", "--mount", "--propagation", "private")
GUESTS_UMASK = 0o022
"""A guest's own, whatever Gantry's is: its programs are several users."""
MARK = "/run/this-is-a-guest"
"""Only there, and nowhere on the machine, a command is run."""
START = f"""
set -e
umask {GUESTS_UMASK:03o}
mount -t tmpfs -o mode=755 run /run
mkdir /run/systemd /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work etc /etc
[ "$(stat -f -c %T /etc)" = overlayfs ]
awk '$4 ~ /^rw/ && $2 !~ "^/(proc|sys|dev|run|etc)(/|$)" {{ print $2 }}' /proc/mounts | while read -r place; do
    mount -o remount,bind,ro "$place"
done
touch {MARK}
rm -rf /etc/network /etc/netplan /etc/systemd/network
mkdir -p /etc/network /etc/netplan /etc/systemd/network
rm -f /etc/resolv.conf
echo 'nameserver 203.0.113.99' > /etc/resolv.conf
mount -t sysfs -o ro sys /sys
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad 2>/dev/null || true
ip link set dev lo up
ip link add lan0 address {MAC} type veth peer name far0
ip link add lan1 address {SECOND_MAC} type veth peer name far1
for name in lan0 far0 lan1 far1; do ip link set dev "$name" up; done
echo ready
exec sleep 600
"""
"""The machine's own files cannot be written: /etc is a layer that goes with the namespace, the rest is read-only."""

GUARD = ("/bin/sh", "-c", f'[ -e {MARK} ] || exit 99; exec "$@"', "guard")


@cache
def missing() -> str | None:
    """Return why there can be no namespace here, or None."""
    if not os.environ.get("LAB"):
        return "namespaces with interfaces, as root, are made with LAB=1 alone"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return "unshare, nsenter or ip is not installed"
    probe = START.rpartition("exec")[0]
    tried = subprocess.run([*NEW, "sh", "-c", probe], capture_output=True, text=True, timeout=LIMIT_S)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


class Namespace:
    """Interfaces lan0 and lan1, with a cable each."""

    def __init__(self, pid: int, tools: Path) -> None:
        self.pid = pid
        self.tools = tools
        """A folder in front of PATH."""
        self.busybox = False

    def do(self, run: Run) -> subprocess.CompletedProcess[str]:
        """Run what a guest agent would run."""
        shell = ["busybox", "sh"] if self.busybox else [run.path]
        return self._call([*shell, *run.arguments], run.stdin)

    def sh(self, command: str) -> str:
        """Return what a command prints. Raises CalledProcessError."""
        done = self._call(["/bin/sh", "-c", command])
        done.check_returncode()
        return done.stdout

    def _call(self, command: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        path = f"{self.tools}:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "--net", "--mount", "env", f"PATH={path}", *GUARD, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            umask=GUESTS_UMASK,
        )

    def tool(self, name: str, text: str) -> None:
        """Put a shell script in front of a program."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def survey(self) -> Survey:
        return Survey.parse(self.do(survey()).stdout)

    def write(self, *files: GuestFile) -> None:
        for file in files:
            done = self._call(
                [
                    "/bin/sh",
                    "-c",
                    'mkdir -p "${1%/*}" && cat > "$1" && chmod "$2" "$1"',
                    "write",
                    file.path,
                    f"{file.mode:o}",
                ],
                file.text,
            )
            done.check_returncode()

    def addresses(self, name: str = "lan0") -> set[str]:
        lines = self.sh(f"ip -o addr show dev {name} scope global").splitlines()
        return {line.split()[3] for line in lines}

    def routes(self, name: str = "lan0") -> set[str]:
        """Return destination and gateway of every route that leads through a gateway."""
        lines = [*self.sh("ip -4 route").splitlines(), *self.sh("ip -6 route").splitlines()]
        words = [line.split() for line in lines if f" dev {name}" in line and " via " in line]
        return {f"{line[0]} via {line[2]}" for line in words}


@contextmanager
def namespace(folder: Path) -> Iterator[Namespace]:
    """Make a guest, and end it."""
    tools = folder / "tools"
    tools.mkdir()
    process = subprocess.Popen(
        [*NEW, "sh", "-c", START],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(process.stderr.read())
        yield Namespace(process.pid, tools)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
