"""Several processes and one fleet, by the real clock: a worker may die, its copy does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from servers.drivers.base import MoveOptions, Progress
from servers.drivers.simulated import Fleet
from servers.states import PowerState
from tests.drivers.contract import live, prepare
from tests.drivers.fleet import GUEST, SimulatedLab

PREAMBLE = """
import logging, sys, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # what is printed is read
from servers.drivers.base import HostRef, MoveOptions
from servers.drivers.simulated import Fleet
from servers.errors import Fault
from tests.drivers.fences import Trusting
from tests.drivers.fleet import GUEST
fleet = Fleet(sys.argv[1])
def at(name):
    return HostRef(name, "simulated", f"simulated:///{name}")
"""
MOVE = """
fleet.driver(at("node1"), Trusting()).live_migration.move(
    GUEST,
    at("node2"),
    MoveOptions(bandwidth_mib_s=300),
    lambda progress: print("copying", flush=True),
    block_migration=True,
)
print("moved", flush=True)
"""
START = """
try:
    fleet.start_guest(sys.argv[2], GUEST)
    print("started")
except Fault as fault:
    print(fault.code)
"""


def run(path: Path, script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, str(path), *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SimulatedLab]:
    """Return the lab by the real clock."""
    yield SimulatedLab(tmp_path / "store")


def test_a_move_goes_on_when_its_worker_is_killed(lab: SimulatedLab) -> None:
    prepare(lab)
    with run(lab.fleet.path, MOVE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "copying\n"
        worker.kill()
    seen: list[Progress] = []
    live(lab, lab.source).move(GUEST, lab.destination, lab.slow, seen.append, block_migration=True)
    assert seen[0].disk_processed_bytes > 0
    assert lab.fleet.running_on(GUEST.uuid) == "node2"


def test_two_watchers_see_the_same_move_end(lab: SimulatedLab) -> None:
    prepare(lab)
    with run(lab.fleet.path, MOVE) as one, run(lab.fleet.path, MOVE) as two:
        ends = [worker.communicate(timeout=60)[0].splitlines()[-1] for worker in (one, two)]
    assert ends == ["moved", "moved"]
    assert lab.fleet.defined_on(GUEST.uuid) == ["node2"]


def test_of_many_who_start_a_guest_on_two_hosts_one_host_wins(lab: SimulatedLab) -> None:
    lab.fleet.stop_guest("node1", GUEST.uuid)
    lab.fleet.add_guest("node2", GUEST, PowerState.SHUTDOWN)
    hosts = ["node1", "node2"] * 2
    workers = [run(lab.fleet.path, START, host) for host in hosts]
    said = [worker.communicate(timeout=60)[0].strip() for worker in workers]
    winner = lab.fleet.running_on(GUEST.uuid)
    assert [s == "started" for s in said] == [h == winner for h in hosts]
    assert set(said) == {"started", "guest_on_two_hosts"}


def test_processes_that_make_the_store_at_once_make_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store"
    script = "fleet.add_host(sys.argv[2])"
    workers = [run(path, script, f"node{n}") for n in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0] * 4
    fleet = Fleet(path)
    assert not any(fleet.is_lost(f"node{n}") for n in range(4))
    assert not list(path.parent.glob(".*"))


def test_the_watcher_looks_about_twice_a_second(lab: SimulatedLab) -> None:
    prepare(lab)
    seen: list[float] = []
    live(lab, lab.source).move(
        GUEST,
        lab.destination,
        MoveOptions(bandwidth_mib_s=500),
        lambda progress: seen.append(time.monotonic()),
        block_migration=True,
    )
    gaps = [later - earlier for earlier, later in pairwise(seen)]
    assert min(gaps) >= 0.5
