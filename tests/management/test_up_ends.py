"""`make up` ends by whatever signals it gets, in any number and order, and nothing is left when a parent is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running import ROOT, free_port

LIMIT_S = 120.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAKE = ["make", "--no-print-directory", "up"]
UP = [sys.executable, "manage.py", "up", "--empty"]


def processes_of(folder: Path) -> set[int]:
    """Return the processes that work on a data folder, by their environment."""
    mine = f"DATA_DIR={folder}".encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except (OSError, ValueError):
            continue  # it ends, or is somebody else's
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit, what
        time.sleep(0.1)


class Started:
    """`make up`, or the command behind it, on a folder of its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        environment = {**os.environ, "DATA_DIR": str(folder), "PORT": str(free_port()), "WORKERS": "2"}
        self.log = (folder / "up.log").open("wb")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log, process_group=0
        )

    def is_up(self) -> bool:
        return b"Gantry is up." in (self.folder / "up.log").read_bytes()

    def end(self) -> None:
        """Leave nothing behind, whatever has gone wrong."""
        for process in processes_of(self.folder):
            os.kill(process, signal.SIGKILL)
        self.process.wait()
        self.log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[list[str]], Started]]:
    started: list[Started] = []

    def begin(command: list[str]) -> Started:
        folder = tmp_path / "data"
        folder.mkdir()
        started.append(Started(folder, command))
        return started[-1]

    yield begin
    for each in started:
        each.end()


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize("seed", range(int(os.environ.get("ENDINGS", "2"))))
def test_signals_in_any_number_and_order_end_everything(
    start: Callable[[list[str]], Started], seed: int
) -> None:
    chance = random.Random(seed)
    up = start(UP)
    if seed % 2 == 0:
        until(up.is_up, "it does not come up")
    else:
        time.sleep(chance.uniform(0, 6))
    while up.process.poll() is None and chance.random() < 0.8:
        up.process.send_signal(chance.choice(ENDING))
        time.sleep(chance.uniform(0, 0.5))
    up.process.send_signal(signal.SIGTERM)
    until(lambda: up.process.poll() is not None, "it hangs")
    until(lambda: not processes_of(up.folder), "something is left")


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc")
@pytest.mark.parametrize("command", [MAKE, UP], ids=["make", "up"])
def test_nothing_is_left_when_the_parent_of_all_is_killed(
    start: Callable[[list[str]], Started], command: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    up = start(command)
    until(up.is_up, "it does not come up")
    until(lambda: len(processes_of(up.folder)) > 4, "its workers do not come up")
    up.process.kill()
    up.process.wait()
    until(lambda: not processes_of(up.folder), "something is left")
