"""`make up FLEET=lab`: Gantry on real guests in one command, and nothing left of it afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.queue_delay import Cloud
from tests.lab.hosts import NUMBER, wait_for
from tests.running import ROOT, Running, free_port

UP_S, MOVED_S, DOWN_S = 180, 120, 60


def test_guests_are_there_can_be_moved_and_nothing_is_left(tmp_path: Path) -> None:
    port, number, log = free_port(), str(NUMBER + 1), tmp_path / "log"
    environment = {**os.environ, "PORT": str(port), "LAB_NUMBER": number}
    environment.pop("DATABASE_URL", None)
    with log.open("w") as output, start(output, environment) as gantry:
        try:
            wait_for("the guests", lambda: is_up(log.read_text()) or gantry.poll() is not None, UP_S)
            assert gantry.poll() is None, log.read_text()
            folder = Path(re.search(r"(/\S+)/openrc", log.read_text())[1])  # type: ignore[index]
            password = re.search(r"Password\s+(\S+)", log.read_text())[1]  # type: ignore[index]
            move("db", Cloud(Running(f"http://127.0.0.1:{port}", {"admin": password})))
        finally:
            gantry.send_signal(signal.SIGINT)
            gantry.wait(DOWN_S)
    assert gantry.returncode == 0, log.read_text()
    assert not folder.exists()
    assert not Path(f"/sys/class/net/lab{number}").exists()


def is_up(log: str) -> bool:
    """Return whether both have said so that come up side by side: the greeting, and what finds the guests."""
    return "Written: 5." in log and "Ctrl-C" in log


def start(output: object, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lab.up"], cwd=ROOT, env=environment, stdout=output, stderr=output
    )


def move(name: str, cloud: Cloud) -> None:
    """Move a guest to the other host."""
    (found,) = cloud.call("GET", f"/v2.1/servers?all_tenants=1&name=^{name}$")["servers"]
    path = f"/v2.1/servers/{found['id']}"
    assert cloud.call("GET", path)["server"]["OS-EXT-SRV-ATTR:host"] == "node1"
    cloud.call("POST", f"{path}/action", {"os-migrateLive": {"host": None, "block_migration": "auto"}})
    end = time.monotonic() + MOVED_S
    while (shown := cloud.call("GET", path)["server"])["OS-EXT-STS:task_state"] and time.monotonic() < end:
        time.sleep(0.5)
    assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "node2")
