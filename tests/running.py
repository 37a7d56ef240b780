"""Gantry as somebody runs it: `manage.py up` with the demo fleet, on a port and a data folder of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
READY_IN_S = 90.0


@dataclass(frozen=True)
class Running:
    """Where it answers, and who may log in."""

    address: str
    passwords: dict[str, str] = field(repr=False)
    data: Path = ROOT / "data"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def gantry(python: str = sys.executable, folder: str = "gantry-", **settings: str) -> Iterator[Running]:
    """Start Gantry with these settings, and stop it at the end of the block. Its folder's name begins with `folder`.

    Raises RuntimeError when it does not come up.
    """
    with TemporaryDirectory(prefix=folder) as data:
        port = free_port()
        own = ("DATA_DIR", "PORT", "PUBLIC_URL", "DATABASE_URL")
        environment = {key: value for key, value in os.environ.items() if key not in own}
        environment |= {"DATA_DIR": data, "PORT": str(port), "LOG_LEVEL": "WARNING", "PYTHONUNBUFFERED": "1"}
        environment |= settings
        command = [python, "manage.py", "up"]
        log = Path(data) / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            wait_until_ready(process, log)
            yield Running(f"http://127.0.0.1:{environment['PORT']}", passwords(Path(data)), Path(data))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the greeting."""
    limit = time.monotonic() + READY_IN_S
    while "Gantry is up" not in log.read_text():
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"Gantry does not come up:\n{log.read_text()}")
        time.sleep(0.2)


def passwords(data: Path) -> dict[str, str]:
    """Return the passwords of the demo's users, and of its admin."""
    lines = (data / "demo_users").read_text().splitlines()
    found = dict(line.split()[:2] for line in lines if not line.startswith("#"))
    words = re.findall(r"\S+", (data / "admin_password").read_text())
    return {**found, "admin": words[-1]}
