"""What is soaked: fifty simulated hosts with a thousand servers, a web server, and two machines that work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from servers.models import Host, Project, Server
from servers.supervisor.processes import PARENT
from tests.running import ROOT, free_port
from tests.small_fleet import SmallFleet

HOSTS = int(os.environ.get("SOAK_HOSTS", "50"))
SERVERS = int(os.environ.get("SOAK_SERVERS", "1000"))
MEMORY_MB = 64
"""Copied in a twentieth of a second: what is soaked is the engine."""
PROCESSES = int(os.environ.get("SOAK_WORKERS", "3"))
READY_IN_S = 180.0


def settle(folder: Path) -> list[UUID]:
    """Make hosts and servers in the database and in the simulated fleet; return the servers' UUIDs."""
    project = Project.objects.get(name="admin")
    fleet = SmallFleet(hosts=HOSTS)
    fleet.project = project
    Host.objects.update(vcpus=200, memory_mb=200_000, disk_gb=20_000)
    made = [
        fleet.add_server(
            f"s{number}",
            f"node{1 + number % HOSTS}",
            storage="local" if number % 4 == 0 else "shared",
            memory_mb=MEMORY_MB,
        )
        for number in range(SERVERS)
    ]
    Server.objects.update(project_id=project.pk)
    return [server.uuid for server in made]


@dataclass
class Machine:
    """A machine with a data folder of its own: the web server and its workers, or workers alone."""

    folder: Path
    shared: dict[str, str]
    command: list[str]
    port: int = field(default_factory=free_port)
    code: Path = ROOT
    before: tuple[str, ...] = ()
    """A command that runs the rest of its words, in a namespace for example."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        own = {"DATA_DIR": str(self.folder), "PORT": str(self.port), PARENT: str(os.getpid())}
        return {**os.environ, "LOG_LEVEL": "WARNING", **self.shared, **own}

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "machine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "manage.py", *self.command],
                cwd=self.code,
                env=self.environment,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def wait_until_up(self) -> None:
        """Wait for the greeting. Raises RuntimeError with the log when it does not come."""
        limit, log = time.monotonic() + READY_IN_S, self.folder / "machine.log"
        while "Gantry is up" not in log.read_text():
            if time.monotonic() > limit or self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"it does not come up: {log.read_text()}")
            time.sleep(0.2)

    def processes(self) -> list[int]:
        """Return every process of the machine, by its data folder."""
        return [pid for pid, words in of_folder(self.folder)]

    def workers(self) -> list[int]:
        """Return the processes that carry actions out."""
        return [pid for pid, words in of_folder(self.folder) if b"--one" in words]

    def lose(self) -> None:
        """Lose the machine: everything on it ends at once, and nobody tidies up."""
        while left := self.processes():
            for pid in left:
                send(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.poll()
            time.sleep(0.05)

    def end(self) -> None:
        """Ask it to end, as somebody who presses Ctrl-C."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
        self.lose()


def of_folder(folder: Path) -> list[tuple[int, list[bytes]]]:
    """Return process id and command line of what works on a data folder."""
    mine, found = f"DATA_DIR={folder}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if words != [b""]:  # not one that has ended
                    found.append((int(entry.name), words))
        except OSError:
            continue
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal, if the process is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
