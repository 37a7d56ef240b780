"""Backups of a guest that runs: from the REST door to a file that holds what the guest had written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import libvirt
import libvirt_qemu
import pytest
from django.core.management import call_command

from servers.drivers.base import JobKind
from servers.drivers.libvirt.backup import backup_job, freezing, scratch_volume
from servers.drivers.libvirt.backup.fetching import Fetch
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.engine.images import store
from servers.errors import BackupFailed, HypervisorTimeout, HypervisorUnavailable
from servers.models import ActionRecord, Image, Server
from servers.states import ActionStatus, ImageStatus, PowerState
from tests.conftest import Caller
from tests.drivers.contract import Interrupted, ignore, let_go, once, power
from tests.lab.hosts import LabHost, run, wait_for
from tests.lab.stage import GUEST, IMAGES, MIB, READY_S, LibvirtLab
from tests.lab.test_actions import NEWEST, act, shown

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
    run("qemu-img", "convert", "-U", "-O", "raw", image, raw)  # a guest may have it open
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


# ------------------------------------------------------------------------------------------- freezing


def agent(lab: LibvirtLab, command: str, **arguments: Any) -> Any:
    """Ask the guest's agent directly."""
    body = json.dumps({"execute": command, **({"arguments": arguments} if arguments else {})})
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        return json.loads(libvirt_qemu.qemuAgentCommand(domain, body, 20, 0))["return"]


@pytest.fixture
def with_agent(lab: LibvirtLab) -> None:
    """Skip where the lab's guest was built without a guest agent."""
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    if found is None or not found.agent:
        pytest.skip("the lab's guest has no qemu-ga: apt has none for this machine")


def is_frozen(lab: LibvirtLab) -> bool:
    return bool(agent(lab, "guest-fsfreeze-status") == "frozen")


class Killed(BaseException):
    """The worker is gone."""


@pytest.mark.usefixtures("with_agent")
def test_a_backup_of_a_guest_with_an_agent_is_marked_consistent(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, backup())
    assert Image.objects.get(server=server).consistent is True
    assert not is_frozen(lab)


@pytest.mark.usefixtures("with_agent")
def test_the_guest_is_thawed_when_whoever_watches_lets_go(lab: LibvirtLab, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), let_go)
    assert not is_frozen(lab)


@pytest.mark.usefixtures("with_agent")
@pytest.mark.parametrize("again", ["snapshot", "discard"])
def test_a_guest_that_a_dead_worker_left_frozen_is_thawed_by_who_comes_next(
    lab: LibvirtLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    def dies(*_: object) -> None:
        raise Killed

    ability = lab.driver(lab.source).backup
    with monkeypatch.context() as patch:
        patch.setattr(backup_job, "_job_xml", dies)
        patch.setattr(freezing, "thaw", dies)
        with pytest.raises(Killed):
            ability.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert is_frozen(lab)
    if again == "snapshot":
        ability.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    else:
        ability.discard(GUEST)
    assert not is_frozen(lab)
    assert in_the_pool(lab) == {"web.qcow2"}


@pytest.mark.usefixtures("with_agent")
def test_an_agent_that_hangs_makes_the_backup_crash_consistent(lab: LibvirtLab, tmp_path: Path) -> None:
    stop_agent(lab)
    snapshot = lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert not snapshot.consistent
    assert lab.beating() == ["node1"]


def stop_agent(lab: LibvirtLab) -> None:
    """Let the guest's agent hang."""
    agent(lab, "guest-exec", path="/bin/sh", arg=["-c", "kill -STOP $(cat /run/qemu-ga.pid)"])
    with suppress(libvirt.libvirtError):
        while True:  # until it has stopped answering
            agent(lab, "guest-ping")


# ------------------------------------------------------------------- guests that do not simply run


def test_a_paused_guest_is_backed_up_and_stays_paused(lab: LibvirtLab, tmp_path: Path) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        connection.lookupByUUIDString(str(GUEST.uuid)).suspend()
    snapshot = lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert not snapshot.consistent
    assert power(lab, lab.source) is PowerState.PAUSED
    run("qemu-img", "check", tmp_path / "backup")


def test_a_suspended_guest_is_backed_up_without_being_woken(lab: LibvirtLab, tmp_path: Path) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        connection.lookupByUUIDString(str(GUEST.uuid)).managedSave()
    snapshot = lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert not snapshot.consistent
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        assert domain.hasManagedSaveImage()
        domain.managedSaveRemove(0)
    assert in_the_pool(lab) == {"web.qcow2"}


def test_a_stopped_guest_is_copied_without_a_job(lab: LibvirtLab, tmp_path: Path) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        connection.lookupByUUIDString(str(GUEST.uuid)).destroy()
    image = tmp_path / "backup"
    assert not lab.driver(lab.source).backup.snapshot(GUEST, str(image), ignore).consistent
    assert content_md5(image, tmp_path) == run("md5sum", lab.state / "content" / "data").split()[0]
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    assert in_the_pool(lab) == {"web.qcow2"}


@pytest.mark.parametrize("running", [True, False])
def test_a_disk_that_is_based_on_another_is_saved_whole(
    lab: LibvirtLab, tmp_path: Path, running: bool
) -> None:
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        domain.snapshotCreateXML("<domainsnapshot><name>before</name></domainsnapshot>", flags)
        connection.storagePoolLookupByName("default").refresh()
        if not running:
            domain.destroy()
    image = tmp_path / "backup"
    lab.driver(lab.source).backup.snapshot(GUEST, str(image), ignore)
    assert "backing-filename" not in json.loads(run("qemu-img", "info", "--output=json", image))
    assert content_md5(image, tmp_path) == run("md5sum", lab.state / "content" / "data").split()[0]
    assert in_the_pool(lab) == {"web.qcow2", "web.before"}


def test_somebody_elses_backup_job_is_left_alone(lab: LibvirtLab, tmp_path: Path) -> None:
    pull = (
        "<domainbackup mode='pull'><server transport='unix' socket='/var/lib/libvirt/pull.sock'/>"
        "<disks><disk name='vda' backup='yes' type='file'><scratch file='/var/lib/libvirt/scratch'/></disk>"
        "</disks></domainbackup>"
    )
    ability = lab.driver(lab.source).backup
    with lab.connected(lab.host(lab.source)) as connection:
        domain = connection.lookupByUUIDString(str(GUEST.uuid))
        domain.backupBegin(pull, None)
        with pytest.raises(BackupFailed, match="another job"):
            ability.snapshot(GUEST, str(tmp_path / "backup"), ignore)
        ability.discard(GUEST)
        assert "pull" in domain.backupGetXMLDesc()
        domain.abortJob()


# ------------------------------------------------------------------------------------------------ room


@contextmanager
def little_room_at(lab: LibvirtLab, host: LabHost) -> Iterator[None]:
    """Let the pool of a host lie on a file system of 2 MiB; disks of guests that run are open underneath."""
    host.inside("mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", IMAGES)
    with lab.connected(host) as connection:
        connection.storagePoolLookupByName("default").refresh()
    try:
        yield
    finally:
        host.inside("umount", IMAGES)


@pytest.fixture
def little_room(lab: LibvirtLab) -> Iterator[None]:
    with little_room_at(lab, lab.host(lab.source)):
        yield


@pytest.mark.usefixtures("little_room")
def test_without_room_on_the_host_nothing_is_copied(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    record = act(admin, server, backup())
    assert record.status == ActionStatus.FAILED
    assert "no storage pool of files on host node1 has" in record.error_text
    assert shown(admin, server)["status"] == "ACTIVE"
    assert lab.host(lab.source).inside("ls", IMAGES) == ""
    assert lab.beating() == ["node1"]


def test_without_room_in_the_store_nothing_is_copied(
    lab: LibvirtLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(MIB, 0, MIB))
    with pytest.raises(BackupFailed, match="has 1 MiB free"):
        lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert in_the_pool(lab) == {"web.qcow2"}


@pytest.mark.usefixtures("little_room")
def test_a_disk_that_fills_up_on_the_way_fails_the_backup_and_not_the_guest(
    admin: Caller, server: Server, lab: LibvirtLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_volume, "needed_bytes", lambda disk: MIB)
    record = act(admin, server, backup())
    assert record.status == ActionStatus.FAILED
    assert "No space left" in record.error_text
    assert "not_undone" not in record.result
    assert lab.host(lab.source).inside("ls", IMAGES) == ""
    assert lab.beating() == ["node1"]


def test_without_qemu_img_nothing_is_copied(
    lab: LibvirtLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupFailed, match="qemu-img is not installed"):
        lab.driver(lab.source).backup.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert in_the_pool(lab) == {"web.qcow2"}


def test_an_image_that_is_broken_is_no_backup(
    admin: Caller, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    act(admin, server, backup(1))
    fetched = Fetch.run

    def breaks(fetch: Fetch, connection: libvirt.virConnect) -> str:
        sha256 = fetched(fetch, connection)
        with fetch.target.open("r+b") as file:
            file.seek(48)  # where a qcow2 says where its reference counts are
            file.write(b"\0\0\0\0\0\0\x77\x77")
        return sha256

    monkeypatch.setattr(Fetch, "run", breaks)
    record = act(admin, server, backup(1))
    assert record.status == ActionStatus.FAILED
    assert "qemu-img check" in record.error_text
    kept = Image.objects.get(server=server, status=ImageStatus.ACTIVE)
    assert file_of(kept).stat().st_size == kept.size_bytes


# -------------------------------------------------------------------------- rotation, and cancelling


def test_rotation_leaves_the_newest_ones(admin: Caller, server: Server) -> None:
    for name in ("first", "second", "third"):
        act(admin, server, backup(2, name))
    left = Image.objects.filter(server=server, status=ImageStatus.ACTIVE).order_by("created_at")
    assert [image.name for image in left] == ["second", "third"]
    assert {file_of(image).name for image in left} == {str(image.pk) for image in left}
    gone = Image.objects.get(server=server, name="first")
    assert gone.status == ImageStatus.DELETED
    assert not store().place(gone.pk).with_suffix("").exists()


@pytest.fixture
def slow_job(lab: LibvirtLab, with_agent: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let a backup's job take some seconds: 32 MiB, by a qemu that has a third of a hundredth of the time.

    The event ends that.
    """
    script = "dd if=/dev/urandom of=/mnt/big bs=1M count=32 conv=fsync"
    pid = agent(lab, "guest-exec", path="/bin/sh", arg=["-c", script])["pid"]
    wait_for("a large file", lambda: agent(lab, "guest-exec-status", pid=pid)["exited"], 120, 0.5)
    stop_agent(lab)  # so slow a guest could not be thawed in time
    qemu = qemu_of(lab.host(lab.source))
    over = threading.Event()
    slowing = threading.Thread(target=slow_down, args=(qemu, over), daemon=True)
    job_xml = backup_job._job_xml

    def slowly(*args: Any) -> str:
        if not over.is_set():
            slowing.start()  # once: it raises RuntimeError when another job is begun
        return job_xml(*args)

    monkeypatch.setattr(backup_job, "_job_xml", slowly)
    yield over
    over.set()
    slowing.join()


def qemu_of(host: LabHost) -> int:
    """Return the process id of the guest on a host, as it is seen from here: other labs have a guest like it."""
    ours = Path(f"/proc/{host.init}/ns/pid").readlink()
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            is_guest = (
                process.name.isdigit() and str(GUEST.uuid).encode() in (process / "cmdline").read_bytes()
            )
            if is_guest and (process / "ns" / "pid").readlink() == ours:
                return int(process.name)
    raise LookupError(f"no guest runs on {host.name}")


def slow_down(process: int, over: threading.Event) -> None:
    """Let a process go on for a millisecond in three hundred."""
    while not over.is_set():
        os.kill(process, signal.SIGSTOP)
        over.wait(0.3)
        os.kill(process, signal.SIGCONT)
        time.sleep(0.001)


@pytest.mark.usefixtures("slow_job")
def test_who_comes_after_a_dead_worker_attaches_to_its_job(lab: LibvirtLab, tmp_path: Path) -> None:
    ability = lab.driver(lab.source).backup
    with pytest.raises(Interrupted):
        ability.snapshot(GUEST, str(tmp_path / "backup"), let_go)
    snapshot = ability.snapshot(GUEST, str(tmp_path / "backup"), ignore)  # a second job would be refused here
    assert hashlib.sha256((tmp_path / "backup").read_bytes()).hexdigest() == snapshot.sha256


def test_a_libvirtd_that_dies_on_the_way_leaves_the_guest_running_and_the_backup_to_be_made_again(
    lab: LibvirtLab, slow_job: threading.Event, tmp_path: Path
) -> None:
    host, ability = lab.host(lab.source), lab.driver(lab.source).backup
    with pytest.raises((HypervisorUnavailable, HypervisorTimeout)):
        ability.snapshot(GUEST, str(tmp_path / "backup"), once(host.stop_libvirtd))
    slow_job.set()
    host.start_libvirtd()
    assert lab.heartbeat() > 0
    lab.wait(1)
    ability.snapshot(GUEST, str(tmp_path / "backup"), ignore)
    assert (
        content_md5(tmp_path / "backup", tmp_path) == run("md5sum", lab.state / "content" / "data").split()[0]
    )
    assert in_the_pool(lab) == {"web.qcow2"}
    assert lab.beating() == ["node1"]


def test_resetting_the_state_ends_a_running_backup_and_its_job(
    admin: Caller, server: Server, lab: LibvirtLab, slow_job: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(task: object, progress: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(WorkingTask, "report", dies)
        with pytest.raises(Killed):
            act(admin, server, backup())
    found = lab.driver(lab.source).find_guest(GUEST.uuid)
    assert found is not None
    assert found.job is JobKind.BACKUP
    answer = admin.post(f"/v2.1/servers/{server.uuid}/action", {"os-resetState": {"state": "active"}}, NEWEST)
    assert answer.status_code == 202
    time.sleep(1.5)
    run_until_idle()
    assert ActionRecord.objects.get(name="createBackup").status == ActionStatus.CANCELLED
    assert lab.driver(lab.source).find_guest(GUEST.uuid).job is None
    assert in_the_pool(lab) == {"web.qcow2"}
    assert Image.objects.get(server=server).status == ImageStatus.DELETED
    slow_job.set()
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node1"]


# ------------------------------------------------------------------------- a new server out of a backup


def restored(server: Server, *words: str) -> ActionRecord:
    """Restore the server's backup on node2, through the shell; carry it out and return its record."""
    image = Image.objects.get(server=server, status=ImageStatus.ACTIVE)
    call_command("image", "restore", str(image.pk), "--name", "again", "--host", "node2", *words)
    run_until_idle()
    return ActionRecord.objects.select_related("server").get(slug="restore")


def beats_of(lab: LibvirtLab, host: LabHost, guest: UUID) -> list[int]:
    """Return two heartbeats from the serial console of a guest. Raises TimeoutError where it is silent."""

    def listen() -> list[int]:
        heard = ""
        with lab.connected(host) as connection:
            stream = connection.newStream()
            connection.lookupByUUIDString(str(guest)).openConsole("serial0", stream)
            while len(found := re.findall(r"^HB (\d+)\r?$", heard, re.MULTILINE)) < 2:
                heard += stream.recv(1024).decode(errors="replace")
            stream.abort()
        return [int(beat) for beat in found]

    with ThreadPoolExecutor(1) as listener:
        return listener.submit(listen).result(READY_S)


def test_a_restored_server_boots_and_holds_the_file(
    admin: Caller, server: Server, lab: LibvirtLab, tmp_path: Path
) -> None:
    act(admin, server, backup(1))
    record = restored(server, "--start", "true")
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, record.server) == {"status": "ACTIVE", "host": "node2"}
    first, second = beats_of(lab, lab.host(lab.destination), record.server_id)
    assert second > first > 0
    file = lab.host(lab.destination).images / f"{record.server_id}.qcow2"
    assert content_md5(file, tmp_path) == run("md5sum", lab.state / "content" / "data").split()[0]
    assert lab.beating() == ["node1"]
    found = lab.driver(lab.destination).find_guest(record.server_id)
    assert found is not None
    assert [nic.mac for nic in found.nics] == [nic.mac for nic in record.server.interfaces.all()]
    assert found.nics[0].mac != GUEST.nics[0].mac


def test_a_backup_is_restored_when_its_guest_and_its_host_are_lost(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, backup(1))
    lab.host(lab.source).crash()
    record = restored(server)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, record.server) == {"status": "SHUTOFF", "host": "node2"}


def test_without_room_at_the_destination_nothing_is_made(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, backup(1))
    node2 = lab.host(lab.destination)
    with little_room_at(lab, node2):
        record = restored(server)
        assert node2.inside("ls", IMAGES) == ""
    assert record.status == ActionStatus.FAILED
    assert "no storage pool of files on host node2 has" in record.error_text
    assert lab.driver(lab.destination).list_guests() == []


def test_a_guest_that_cannot_be_started_leaves_nothing(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    act(admin, server, backup(1))
    image = Image.objects.get(server=server)
    image.definition = image.definition.replace("bridge='br0'", "bridge='nowhere'")
    image.save(update_fields=["definition"])
    record = restored(server, "--start", "true")
    assert record.status == ActionStatus.FAILED
    assert "nowhere" in record.error_text
    assert lab.driver(lab.destination).list_guests() == []
    assert list(lab.host(lab.destination).images.iterdir()) == []
