"""Bringing a volume into a file here: hashed as it comes, sparse where it is empty, checked by qemu-img."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import BinaryIO

import libvirt

from servers.drivers.libvirt import streams
from servers.errors import BackupFailed

QEMU_IMG = "qemu-img"
MIB = 1024**2


class Stopped(Exception):
    """Whoever watched has let go."""


class Fetch:
    """A volume on its way into a file. `done` counts its bytes."""

    def __init__(self, path: str, target: Path) -> None:
        self.path, self.target = path, target
        self.done = self.total = 0
        self.stop = threading.Event()

    def run(self, connection: libvirt.virConnect) -> str:
        """Return the SHA-256 of all that has come. Raises BackupFailed, libvirtError, Stopped.

        The file is a new one: who is late with an earlier fetch writes to one that is nobody's any more.
        """
        digest = hashlib.sha256()
        try:
            volume = connection.storageVolLookupByPath(self.path)
            _, capacity, physical = volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
            self.total = physical or capacity
            self.target.unlink(missing_ok=True)
            with self.target.open("xb") as file:
                streams.receive(connection, volume, lambda piece: self._take(piece, file, digest))
                file.truncate(self.done)
        except OSError as error:
            raise BackupFailed(reason=f"{self.target} cannot be written: {error.strerror}") from error
        return digest.hexdigest()

    def _take(self, piece: bytes, file: BinaryIO, digest: hashlib._Hash) -> None:
        if self.stop.is_set():
            raise Stopped
        digest.update(piece)
        self.done += len(piece)
        if piece.count(0) == len(piece):
            file.seek(self.done)
        else:
            file.write(piece)


def require_room(target: Path, bytes_needed: int) -> None:
    """Raise BackupFailed where the file system of `target` has no room for so many bytes."""
    try:
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise BackupFailed(reason=f"{target} cannot be written: {error.strerror}") from error
    if free < bytes_needed:
        raise BackupFailed(
            reason=f"{target.parent} has {free // MIB} MiB free, the backup may need {bytes_needed // MIB} MiB"
        )


def size_of(image: Path) -> int:
    """Return how large the file has become. Raises BackupFailed where it is gone."""
    try:
        return image.stat().st_size
    except OSError as error:
        raise BackupFailed(reason=f"{image} cannot be read: {error.strerror}") from error


def require_qemu_img() -> None:
    """Raise BackupFailed where qemu-img is not installed: a backup that nobody has checked is none."""
    if shutil.which(QEMU_IMG) is None:
        raise BackupFailed(
            reason="qemu-img is not installed where the workers run, so no backup can be checked;"
            " apt-get install qemu-utils"
        )


def check(image: Path) -> None:
    """Let qemu-img look whether a qcow2 is whole. Raises BackupFailed with what it has found."""
    command = [QEMU_IMG, "check", "--output=json", "-f", "qcow2", str(image)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise BackupFailed(reason=f"qemu-img check: {error.strerror}") from error
    if done.returncode:
        raise BackupFailed(reason=f"qemu-img check: {_findings(done)}")


def _findings(done: subprocess.CompletedProcess[str]) -> str:
    """Return what qemu-img has counted, or how it says that it cannot."""
    try:
        found = json.loads(done.stdout)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return done.stderr.strip() or f"exit code {done.returncode}"
    counted = ("corruptions", "leaks", "check-errors")
    return ", ".join(f"{found[name]} {name}" for name in counted if found.get(name)) or "it is not whole"
