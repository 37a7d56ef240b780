"""Counters of many processes, as one: who dies loses nothing, nobody shares a file, and nothing piles up."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from servers.monitoring import shared_values
from servers.monitoring.exposition import REGISTRY
from tests.disks import fill, small_disk

ROOT = Path(__file__).parent.parent.parent
COUNTS = """
import sys, django
django.setup()
from servers.monitoring.metrics import count_fault, count_fenced
for number in range(int(sys.argv[1])):
    count_fenced("lease_lost")
print("counted", flush=True)
for line in sys.stdin:
    for number in range(1000):
        count_fault(f"{line.strip()} {number}", "fault")
    print("counted", flush=True)
"""
"""Counts so often, and a thousand figures more for each line that it reads; lives until its standard input ends."""


class Process:
    """A process that has counted."""

    def __init__(self, folder: Path, times: int) -> None:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATA_DIR": str(folder)}
        environment["PROMETHEUS_MULTIPROC_DIR"] = "/nowhere"  # as a process has it whose parent has counted
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNTS, str(times)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def has_counted(self) -> Process:
        """Wait until it has; a process that dies of it says nothing."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "counted\n"
        return self

    def count_more(self) -> None:
        """Let it count a thousand new figures."""
        assert self.process.stdin is not None
        self.process.stdin.write("more\n")
        self.process.stdin.flush()
        self.has_counted()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> str:
        """Let it end; return what it has logged."""
        return self.process.communicate("", timeout=60)[1]


@pytest.fixture
def processes() -> Iterator[Any]:
    """Return what starts a process that counts so often in a folder."""
    with ExitStack() as started:

        def start(folder: Path, times: int) -> Process:
            process = Process(folder, times)
            started.callback(process.kill)
            return process.has_counted()

        yield start


def total(settings: Any, folder: Path) -> float | None:
    """Return what Prometheus reads of the processes in a folder."""
    settings.METRICS_DIR = folder / "metrics"
    values = [sample.value for metric in shared_values.SharedValues().collect() for sample in metric.samples]
    return sum(values) if values else None


DAMAGED = [
    b"\xff" * 100,
    b"\xff\xff\xff\x7f" * 25,
    (96).to_bytes(4, "little") + b"\x00" * 4 + b"\x08\x00\x00\x00{" * 20,
]
"""A file's beginning says how many of its bytes are in use; then come keys, each with its length."""


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "metrics").glob("*.db")}


def test_processes_of_a_machine_count_as_one(processes: Any, settings: Any, tmp_path: Path) -> None:
    for times in (1, 2, 4):
        processes(tmp_path, times)
    assert total(settings, tmp_path) == 7
    assert files(tmp_path) == {f"{kind}_{slot}.db" for kind in shared_values.KINDS for slot in range(3)}


def test_who_comes_after_one_that_was_killed_goes_on_where_that_one_stopped(
    processes: Any, settings: Any, tmp_path: Path
) -> None:
    processes(tmp_path, 1)
    for times in (2, 4, 8):
        processes(tmp_path, times).kill()
    assert total(settings, tmp_path) == 15
    assert len(files(tmp_path)) == 2 * len(shared_values.KINDS)


def test_counters_begin_anew_when_nobody_has_lived(processes: Any, settings: Any, tmp_path: Path) -> None:
    processes(tmp_path, 5).kill()
    (tmp_path / "metrics" / "counter_9.db").write_bytes(b"\xff" * 100)
    processes(tmp_path, 1)
    assert total(settings, tmp_path) == 1


@pytest.mark.parametrize("damaged", DAMAGED)
def test_file_that_is_damaged_costs_no_other_process_its_figures(
    damaged: bytes, processes: Any, settings: Any, tmp_path: Path
) -> None:
    processes(tmp_path, 3)
    (tmp_path / "metrics" / "counter_9.db").write_bytes(damaged)
    assert total(settings, tmp_path) == 3


@pytest.mark.parametrize("damaged", DAMAGED)
def test_file_that_is_damaged_is_begun_anew_by_whoever_takes_its_slot(
    damaged: bytes, processes: Any, settings: Any, tmp_path: Path
) -> None:
    processes(tmp_path, 1)
    processes(tmp_path, 2).kill()
    (tmp_path / "metrics" / "counter_1.db").write_bytes(damaged)
    processes(tmp_path, 4)
    assert total(settings, tmp_path) == 5


def test_process_that_hangs_while_it_takes_a_slot_holds_up_nobody(processes: Any, tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    with (tmp_path / "metrics" / "slots.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        assert processes(tmp_path, 1).end().count("metrics.not_kept") == 1


def test_folder_that_cannot_be_written_is_said_once_and_stops_nobody(processes: Any, tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("no folder")
    said = processes(tmp_path, 3).end()
    assert said.count("metrics.not_kept") == 1 and "Traceback" not in said


def test_full_disk_is_said_once_and_stops_nobody(processes: Any, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 1) as data:
        (data / "secret_key").write_text("x" * 50)
        (data / "ballast").write_bytes(b"x" * 500_000)
        process = processes(data, 3)
        said = process.end()
    assert said.count("metrics.not_kept") == 1 and "No space left" in said


def test_disk_that_fills_up_while_somebody_counts_stops_nobody(
    processes: Any, settings: Any, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data", 4) as data:
        process = processes(data, 3)
        fill(data)
        process.count_more()
        assert total(settings, data) == 1003
        process.end()


def test_scrape_without_anything_counted_is_well(settings: Any, tmp_path: Path, db: None) -> None:
    assert total(settings, tmp_path) is None
    assert [metric.name for metric in REGISTRY.collect()]
