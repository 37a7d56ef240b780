"""Counters that all processes of a machine share, in files that survive whoever counts in them.

Prometheus' client keeps a file for each process, by its process id; here processes die and are started again
thousands of times. So a process counts under the first free number, its slot: files are as many as processes
have run at one time, and who comes next goes on where the last one has stopped.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

import structlog
from django.conf import settings
from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

KINDS = ("counter", "histogram")
TRIES, AGAIN_S = 20, 0.05
CAPACITY_BYTES = 1 << 20
"""Taken from the disk before anything is counted: to write to a mapped page for which it has no room ends a process."""

_shared: list[Any] = [None]
"""The class of values that counts under the slot, once there is one. The library's own choice goes by the environment."""
_turn = threading.RLock()
_slots: dict[int, tuple[int, int]] = {}
"""By process id: the slot, and the descriptor whose lock says that it is taken. A fork has none yet."""


def prepare() -> None:
    """Let this process count. Raises OSError where that cannot be kept, and then changes nothing."""
    with _turn:
        slot()
        if values.ValueClass is not _shared[0]:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder())
            _shared[0] = values.MultiProcessValue(process_identifier=slot)  # type: ignore[no-untyped-call]
            values.ValueClass = _shared[0]


def folder() -> Path:
    """Return where the counters of this machine are."""
    return Path(settings.METRICS_DIR)


def slot() -> int:
    """Return the number under which this process counts, which no other living process has. Raises OSError."""
    held = _slots.get(os.getpid())
    if held is None:
        with _turn:
            held = _slots.get(os.getpid()) or _take_slot()
            _slots.clear()  # of the process from which this one was forked
            _slots[os.getpid()] = held
    return held[0]


def _take_slot() -> tuple[int, int]:
    """Take the first free slot. What was counted before anybody lived who lives now is deleted.

    So counters begin at nothing when everything was stopped, as Prometheus expects it, and what an earlier
    version or the end of a machine has left behind goes.
    """
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / "slots.lock").open("a") as turn:
        _wait_for(turn)
        if not any(_is_taken(path) for path in folder().glob("slot-*.lock")):
            for path in (*folder().glob("slot-*.lock"), *folder().glob("*.db")):
                path.unlink()
        tried = ((number, _lock(folder() / f"slot-{number}.lock")) for number in count())
        number, descriptor = next((number, lock) for number, lock in tried if lock is not None)
        try:
            for kind in KINDS:
                _reserve(folder() / f"{kind}_{number}.db")
        except OSError:
            os.close(descriptor)
            raise
    return number, descriptor


def _wait_for(turn: IO[str]) -> None:
    """Lock the file. Raises BlockingIOError when another process keeps it: it may hang, and nobody hangs with it."""
    for _ in range(TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(AGAIN_S)
    return fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(path: Path) -> int | None:
    """Return a descriptor with the lock on a file, which ends with the process; None where another one has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_taken(path: Path) -> bool:
    descriptor = _lock(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _reserve(path: Path) -> None:
    """Take the room for a file of counters from the disk. Raises OSError; then there is no such file, or the old one."""
    if path.exists() and not _is_readable(path):
        path.unlink()
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, CAPACITY_BYTES)
    except OSError:
        if is_new:
            path.unlink()
        raise
    finally:
        os.close(descriptor)


class SharedValues(Collector):
    """What all processes of this machine have counted, together."""

    def collect(self) -> Iterator[Metric]:
        """Yield each metric once; a file that cannot be read is left out."""
        files = [str(path) for path in folder().glob("*.db") if _is_readable(path)]
        with suppress(FileNotFoundError):  # deleted since, with all others
            yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]

    def describe(self) -> list[Metric]:
        """Return nothing: what is counted is known when it is collected."""
        return []


def _is_readable(path: Path) -> bool:
    """Return whether a file of counters is whole: it begins with how many of its bytes are in use."""
    try:
        with path.open("rb") as file:
            used = int.from_bytes(file.read(4), sys.byteorder, signed=True)
        if not 0 <= used <= path.stat().st_size:
            raise ValueError(f"{used} bytes are said to be in use")
        for key, *_ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            json.loads(key)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes of the reader
        log.warning("metrics.unreadable", file=str(path), reason=str(error) or type(error).__name__)
        return False
    return True
