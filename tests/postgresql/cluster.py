"""A PostgreSQL of our own for one command: `python -m tests.postgresql.cluster COMMAND…`; never the machine's.

The command finds where it is in DATABASE_URL, and in CLUSTER how to stop it and start it again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from tests.running import free_port

USER = "postgres"
DEBIAN = Path("/usr/lib/postgresql")
PACKAGE = "postgresql-15"


@dataclass(frozen=True)
class Cluster:
    """A cluster in a folder. As root it runs as the user postgres, because PostgreSQL refuses to run as root."""

    programs: Path
    folder: Path
    port: int

    def run(self, program: str, *words: str, check: bool = True) -> None:
        as_user = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
        command = [*as_user, str(self.programs / program), *words]
        done = subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL, stderr=sys.stderr, check=False)
        if check and done.returncode:
            raise SystemExit(f"{program} ended with {done.returncode}")

    def make(self, password: str) -> None:
        """Make the cluster; nobody gets in without the password."""
        secret = self.folder / "password"
        secret.write_text(password)
        secret.chmod(0o600)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, USER)
        self.run("initdb", "-D", self.data, "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret), "-N")
        secret.unlink()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start it on its port of the loopback, without a socket; durability is not what is tested."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=200"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast", *, check: bool = True) -> None:
        """End it: `fast` ends its connections first, `immediate` is a crash."""
        self.run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop", check=check)

    def as_text(self) -> str:
        return f"{self.programs}|{self.folder}|{self.port}"


def from_environment() -> Cluster:
    """Return the cluster under which this process was started."""
    programs, folder, port = os.environ["CLUSTER"].split("|")
    return Cluster(Path(programs), Path(folder), int(port))


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest version first."""
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    anywhere = shutil.which("initdb")
    found = versions[-1] if versions else Path(anywhere) if anywhere else None
    return found.parent if found else None


def install() -> Path | None:
    """Install PostgreSQL where that is possible, and return the folder of its programs."""
    if os.getuid() != 0 or not shutil.which("apt-get"):
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", PACKAGE]):
        subprocess.run(["apt-get", *words], env=environment, stdout=subprocess.DEVNULL, check=False)
    return find_programs()


@contextmanager
def private_cluster(programs: Path) -> Iterator[tuple[Cluster, str]]:
    """Start a cluster, hand it out with the address of its database, and leave nothing of it."""
    with TemporaryDirectory(prefix="gantry-postgresql-") as folder:
        cluster, password = Cluster(programs, Path(folder), free_port()), secrets.token_hex(16)
        cluster.make(password)
        cluster.start()
        try:
            yield cluster, f"postgres://{USER}:{password}@127.0.0.1:{cluster.port}/postgres"
        finally:
            cluster.stop("immediate", check=False)


def end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main(command: list[str]) -> int:
    """Run the command with a cluster, and return its exit code; without PostgreSQL say why not, and return 0."""
    programs = find_programs() or install()
    if programs is None:
        print("postgresql skipped: PostgreSQL is not installed, and apt cannot install it here")
        return 0
    signal.signal(signal.SIGTERM, end)
    with private_cluster(programs) as (cluster, url):
        environment = {**os.environ, "DATABASE_URL": url, "CLUSTER": cluster.as_text()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
