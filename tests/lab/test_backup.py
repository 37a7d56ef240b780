"""Backups of a guest that runs: from the REST door to a file that holds what the guest had written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from servers.conductor.images import store
from servers.conductor.work import run_until_idle
from servers.drivers.base import Progress
from servers.drivers.libvirt import backup_job, freezing, spare
from servers.errors import BackupFailed
from servers.models import ActionRecord, Image, Server
from servers.states import ActionStatus, ImageStatus, PowerState
from tests.conftest import Caller
from tests.drivers.contract import Interrupted, ignore, let_go, power
from tests.lab.hosts import run
from tests.lab.stage import GUEST, MIB, LibvirtLab
from tests.lab.test_actions import act, server, shown

__all__ = ["server"]
pytestmark = pytest.mark.django_db


def backup(rotation: int = 2, name: str = "nightly") -> dict[str, Any]:
    return {"createBackup": {"name": name, "backup_type": "daily", "rotation": rotation}}


def file_of(image: Image) -> Path:
    """Return the image's file."""
    path = store().place(image.pk).with_suffix("")
    assert path.exists()
    return path


def content_md5(image: Path, folder: Path) -> str:
    """Return the md5 sum of the file `data` on the disk in the image, as ext4 has it."""
    raw, data = folder / "raw", folder / "data"
    run("qemu-img", "convert", "-O", "raw", image, raw)
    checked = subprocess.run(["e2fsck", "-fy", raw], capture_output=True, text=True, check=False)
    assert checked.returncode in {0, 1}, checked.stdout  # 1: the journal was played back
    run("debugfs", "-R", f"dump /data {data}", raw)
    return run("md5sum", data).split()[0]


def in_the_pool(lab: LibvirtLab) -> set[str]:
    """Return the names of what lies in the pool of the first host."""
    return {file.name for file in lab.host(lab.source).images.iterdir()}


def test_a_backup_of_a_running_guest_is_whole_and_holds_its_file(
    admin: Caller, server: Server, lab: LibvirtLab, tmp_path: Path
) -> None:
    before = lab.heartbeat()
    record = act(admin, server, backup())
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert record.progress_percent == 100
    image = Image.objects.get(server=server)
    assert (image.status, image.disk_format) == (ImageStatus.ACTIVE, "qcow2")
    file = file_of(image)
    assert json.loads(run("qemu-img", "check", "--output=json", file))["check-errors"] == 0
    assert content_md5(file, tmp_path) == run("md5sum", lab.state / "content" / "data").split()[0]
    assert lab.heartbeat() > before > 0
    assert lab.beating() == ["node1"]
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node1"}
    assert in_the_pool(lab) == {"web.qcow2"}
