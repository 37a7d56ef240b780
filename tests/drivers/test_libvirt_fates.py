"""A question that fails is not the fate of what was asked about: not of a move, a backup, a copy or a guest."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed: make libvirt")

from servers.drivers.base import Disk, Guest, HostRef, Saved  # noqa: E402
from servers.drivers.libvirt import (  # noqa: E402
    Settings,
    checks,
    copied,
    definitions,
    guest_presence,
    job,
    power,
)
from servers.drivers.libvirt.backup import (  # noqa: E402
    backup_job,
    fetching,
    freezing,
    scratch_volume,
)
from servers.drivers.libvirt.backup.backup_job import Ended  # noqa: E402
from servers.drivers.libvirt.backup.scratch_volume import BackupScratch  # noqa: E402
from servers.drivers.libvirt.errors import COMMAND_FAILED, COMMAND_TIMEOUT, Unreadable  # noqa: E402
from servers.drivers.libvirt.guest_presence import Presence  # noqa: E402
from servers.drivers.libvirt.host_session import HostSession  # noqa: E402
from servers.drivers.libvirt.redefining import new_definition  # noqa: E402
from servers.drivers.libvirt.restore import restoring  # noqa: E402
from servers.drivers.libvirt.volume_sidecar import Role, Sidecar, Stage  # noqa: E402
from servers.errors import (  # noqa: E402
    BackupFailed,
    DriverFault,
    HypervisorUnavailable,
    InvalidCPUInfo,
    RestoreFailed,
)
from tests.drivers.test_libvirt_answers import BUSY, CLOSED, GONE, SOUND, Connection, Domain, error  # noqa: E402

HOST = HostRef("node1", "libvirt", "test:///default", "test")
GUEST = Guest(UUID(int=1), "web", 1, 512)
BACKUP, FULL = libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP, libvirt.VIR_DOMAIN_JOB_UNBOUNDED
NAME = scratch_volume.name_of(GUEST)
JOB_XML = f"<domainbackup><disks><disk><target file='/pool/{NAME}'/></disk></disks></domainbackup>"


class Script:
    """Answers one after another; the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def asked_of(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Presence:
    monkeypatch.setattr(
        "servers.drivers.libvirt.host_session.CONNECTIONS.get", lambda uri: Connection(domain), raising=False
    )
    return guest_presence.ask(HostSession(HOST, Settings(timeout_s=5)), GUEST)


# ------------------------------------------------------------------------------------- where a guest is


@pytest.mark.parametrize("verb", ["isActive", "state"])
def test_a_guest_that_goes_while_it_is_looked_at_is_absent(verb: str) -> None:
    assert guest_presence.presence(Connection(Domain(1, **{verb: GONE})), GUEST.uuid) is Presence.ABSENT


@pytest.mark.parametrize("found", [BUSY, CLOSED, Unreadable("odd"), error(libvirt.VIR_ERR_OPERATION_FAILED)])
@pytest.mark.parametrize("verb", ["isActive", "state", "jobStats"])
def test_a_host_that_never_says_leaves_it_unknown(
    verb: str, found: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HypervisorUnavailable):
        asked_of(Domain(1, **{verb: found}), monkeypatch)


def test_a_move_never_sees_a_guest_without_the_disks_that_could_not_be_read() -> None:
    domain = Domain(1, XMLDesc=SOUND.format(name="x" * 2000))
    session = HostSession(HOST, Settings(timeout_s=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "servers.drivers.libvirt.host_session.CONNECTIONS.get",
            lambda uri: Connection(domain),
            raising=False,
        )
        with pytest.raises(HypervisorUnavailable, match="path"):
            copied.found(session, GUEST)


# ------------------------------------------------------------------------------------------ a destination


class Host:
    """A host that raises what it is given, whatever it is asked."""

    def __init__(self, raised: Exception) -> None:
        self.raised = raised

    def getHostname(self) -> str:
        return "node2"

    def __getattr__(self, verb: str) -> Any:
        def ask(*_: Any) -> Any:
            raise self.raised

        return ask


MACHINE = definitions.parse(
    "<domain type='kvm'><os><type arch='x86_64'>hvm</type></os><cpu mode='custom'/></domain>"
)


def origin() -> checks.Origin:
    return checks.Origin("", "", 0, "", MACHINE, None, 0)  # type: ignore[arg-type]


def test_a_destination_whose_connection_breaks_is_not_said_to_lack_anything() -> None:
    with pytest.raises(libvirt.libvirtError):
        checks.unsupported(Host(CLOSED), MACHINE)
    with pytest.raises(libvirt.libvirtError):
        checks.check_cpu(Host(CLOSED), origin(), "node2")


def test_a_destination_that_cannot_is_refused_with_its_words() -> None:
    assert "cannot run it" in checks.unsupported(Host(error(libvirt.VIR_ERR_INVALID_ARG)), MACHINE)
    with pytest.raises(InvalidCPUInfo, match="cannot tell"):
        checks.check_cpu(Host(error(libvirt.VIR_ERR_INVALID_ARG)), origin(), "node2")


def test_a_processor_is_refused_by_a_host_that_does_not_name_its_own() -> None:
    class Incompatible:
        def compareHypervisorCPU(self, *_: Any) -> int:
            return int(libvirt.VIR_CPU_COMPARE_INCOMPATIBLE)

    with pytest.raises(InvalidCPUInfo, match="the CPU"):
        checks.check_cpu(Incompatible(), origin(), "node2")


def test_a_definition_without_a_kind_of_machine_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        checks.unsupported(Host(CLOSED), definitions.parse("<domain/>"))


# ----------------------------------------------------------------------------------------------- a backup


def spare_volume(stage: Stage = Stage.COPYING) -> BackupScratch:
    return BackupScratch("disks", NAME, Sidecar(str(GUEST.uuid), Role.BACKUP, "node1", "", stage=stage))


def copying(**answers: Any) -> Domain:
    """Return a guest of which a backup is being made; an earlier one has succeeded."""
    stats = Script({"type": FULL, "operation": BACKUP})
    return Domain(1, **{"jobStats": stats, "backupGetXMLDesc": JOB_XML, **answers})


def test_a_copy_whose_pool_is_away_for_a_moment_is_still_being_made() -> None:
    connection = Connection(copying())
    assert backup_job.is_running(connection, GUEST, spare_volume())
    seen = backup_job.statistics(connection, GUEST, spare_volume())
    assert not isinstance(seen, Ended)


def test_a_copy_into_another_volume_is_somebody_elses() -> None:
    other = replace(spare_volume(), name="another.backup.qcow2")
    assert not backup_job.is_running(Connection(copying()), GUEST, other)


@pytest.mark.parametrize("found", [BUSY, CLOSED, Unreadable("odd"), error(libvirt.VIR_ERR_INTERNAL_ERROR)])
@pytest.mark.parametrize("verb", ["isActive", "jobStats", "backupGetXMLDesc"])
def test_a_copy_of_which_the_host_does_not_say_has_not_ended(verb: str, found: Exception) -> None:
    with pytest.raises(libvirt.libvirtError):
        backup_job.statistics(Connection(copying(**{verb: found})), GUEST, spare_volume())


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"operation": BACKUP, "success": 1}, ""),
        ({"operation": BACKUP, "errmsg": "no space"}, "no space"),
        ({"operation": BACKUP, "errmsg": 5}, "5"),
        ({"operation": "odd"}, "does not know"),
        ({}, "does not know"),
    ],
)
def test_the_end_of_a_copy_is_what_its_host_says_of_it(last: dict[str, Any], reason: str) -> None:
    domain = Domain(1, jobStats=Script({"type": 0}, last))
    ended = backup_job.statistics(Connection(domain), GUEST, spare_volume())
    assert isinstance(ended, Ended)
    assert reason in ended.reason and bool(ended.reason) == bool(reason)


def test_statistics_that_are_none_are_unreadable() -> None:
    for verb in (job.statistics, job.completed):
        with pytest.raises(Unreadable):
            verb(Domain(1, jobStats=[1, 2]))


def test_a_guest_that_does_not_thaw_keeps_no_copy_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "THAW_AGAIN_S", 0)
    aborted = Script(0)
    domain = copying(fsThaw=error(libvirt.VIR_ERR_AGENT_UNRESPONSIVE), abortJob=aborted)
    with pytest.raises(DriverFault, match="may be frozen"):
        backup_job.abort(Connection(domain), GUEST, spare_volume(Stage.FREEZING))
    assert aborted.asked == 1


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_AGENT_UNSYNCED, COMMAND_TIMEOUT])
def test_an_agent_that_answers_too_late_is_not_asked_to_freeze(code: int) -> None:
    assert not freezing.can_freeze(Domain(1, getTime=error(code)))


def test_a_pool_that_cannot_tell_its_size_has_no_room_and_hides_no_other() -> None:
    class Volumes:
        def __init__(self, name: str, info: Any) -> None:
            self.called, self.told = name, info

        def name(self) -> str:
            return self.called

        def refresh(self) -> None:
            raise error(libvirt.VIR_ERR_OPERATION_FAILED)

        def XMLDesc(self) -> str:
            return "<pool type='dir'/>"

        def info(self) -> Any:
            if isinstance(self.told, Exception):
                raise self.told
            return self.told

    class Storage:
        def listAllStoragePools(self, flags: int) -> list[Volumes]:
            odd = Volumes("odd", error(libvirt.VIR_ERR_SYSTEM_ERROR))
            return [odd, Volumes("sound", [2, 100, 0, 100])]

    assert scratch_volume.roomy_pool(Storage(), "odd", 50) == "sound"


@pytest.mark.parametrize("out", ["", "5", "[1]", "[" * 100_000, '{"corruptions": 3}'])
def test_whatever_the_check_of_a_copy_prints_is_told(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 2, stdout=out, stderr="odd")
    monkeypatch.setattr(fetching.subprocess, "run", lambda *_, **__: done)
    says = "3 corruptions" if out.startswith("{") else "odd"
    with pytest.raises(BackupFailed, match=says):
        fetching.check(tmp_path / "copy")


def test_a_copy_that_cannot_be_checked_or_is_gone_is_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackupFailed, match="cannot be read"):
        fetching.size_of(tmp_path / "nothing")
    monkeypatch.setattr(fetching, "QEMU_IMG", str(tmp_path / "no-such-program"))
    with pytest.raises(BackupFailed, match="qemu-img check"):
        fetching.check(tmp_path / "copy")


# ------------------------------------------------------------------------------- a guest that is restored

SAVED = Saved(lambda: iter(()), 10, "qcow2", "", SOUND, Disk("vda", "/old/web.raw", "old", 7, 7, "raw"))
MADE = Disk("", "/pool/new.qcow2", "disks", 0, 0)


@pytest.mark.parametrize("found", [BUSY, Unreadable("odd"), "<domain/>"])
def test_a_guest_that_was_made_is_made_whatever_its_host_says_of_its_disk(found: Any) -> None:
    domain = Domain(1, XMLDesc=found)
    told = restoring.laid(Connection(domain), domain, MADE) or restoring.made_of(SAVED, MADE)
    assert told == Disk("vda", "/pool/new.qcow2", "disks", 7, 7, "qcow2")


@pytest.mark.parametrize(
    "saved", ["<?xml version='1.0' encoding='utf-8'?><domain/>", "\0", "\ud800", "<a>" * 100_000, "{}"]
)
def test_a_saved_definition_that_cannot_be_read_is_not_restored(saved: str) -> None:
    with pytest.raises(RestoreFailed):
        new_definition(saved, GUEST, "qemu", "vda", "/pool/new.qcow2")


def test_a_name_that_cannot_stand_in_a_definition_is_not_restored() -> None:
    with pytest.raises(RestoreFailed):
        new_definition(SOUND, replace(GUEST, name="a\0b"), "qemu", "vda", "/pool/new.qcow2")


# ---------------------------------------------------------------------------------------------- its power


@pytest.mark.parametrize(
    "code", [libvirt.VIR_ERR_AGENT_UNSYNCED, COMMAND_TIMEOUT, COMMAND_FAILED, libvirt.VIR_ERR_INTERNAL_ERROR]
)
def test_a_guest_whose_agent_answers_oddly_is_deaf(code: int) -> None:
    agent = "<domain><devices><channel><target name='org.qemu.guest_agent.0' state='connected'/></channel></devices></domain>"
    assert not power.ask_to_stop(Domain(1, XMLDesc=agent, shutdownFlags=error(code)))  # type: ignore[arg-type]


def test_a_guest_is_not_deaf_because_its_host_does_not_answer() -> None:
    with pytest.raises(libvirt.libvirtError):
        power.ask_to_stop(Domain(1, shutdownFlags=CLOSED))  # type: ignore[arg-type]
