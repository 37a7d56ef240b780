"""A small disk of one's own, to fill it or to write-protect it; only where this process may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK_BYTES = 4096


def mount(*words: str) -> None:
    """Mount, or skip the test where that is not possible."""
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """Mount a disk in memory at `folder`, and take it away at the end."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk")
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def protect(folder: Path) -> None:
    """Let nobody write on the disk any more."""
    mount("-o", "remount,ro", str(folder))


def fill(folder: Path) -> Path:
    """Take the disk's last free byte; return the file to delete."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * BLOCK_BYTES)
        except OSError:
            return path
