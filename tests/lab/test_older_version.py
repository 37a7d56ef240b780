"""What an older version has left on hosts names no owner: the new one goes on with it, and clears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import libvirt
import pytest

from servers.drivers.libvirt import domain_metadata, volume_sidecar
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.volume_sidecar import Sidecar
from servers.states import PowerState
from tests.drivers.contract import (
    Interrupted,
    backup,
    cold,
    found_restored,
    ignore,
    let_go,
    live,
    move,
    move_cold,
    new_guest,
    power,
    prepare,
    restore,
    saved,
)
from tests.lab.stage import LibvirtLab

CONFIG, LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
NEW = {"owner", "attempt"}
Older = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def older_version(monkeypatch: pytest.MonkeyPatch) -> Older:
    """Let metadata and sidecars be written as they were when nothing had an owner."""

    def without(sidecar: Sidecar) -> dict[str, Any]:
        return {name: value for name, value in asdict(sidecar).items() if name not in NEW}

    @contextmanager
    def older() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(HostSession, "owner", "")
            patch.setattr(volume_sidecar, "attempt", str)
            patch.setattr(volume_sidecar, "asdict", without)
            yield

    return older


def mark_of(lab: LibvirtLab, ref: Any, flags: int = CONFIG) -> str:
    with lab.connected(lab.host(ref)) as connection:
        domain = connection.lookupByUUIDString(str(lab.guest.uuid))
        text: str = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domain_metadata.NAMESPACE, flags)
        return text


def notes_at(lab: LibvirtLab, ref: Any) -> list[str]:
    return [file.read_text().strip() for file in lab.host(ref).images.glob("*.gantry")]


def test_a_cold_move_that_waits_since_an_older_version_is_confirmed(
    lab: LibvirtLab, older_version: Older
) -> None:
    with older_version():
        move_cold(lab)
    assert "migration" not in mark_of(lab, lab.source) + mark_of(lab, lab.destination)
    assert not any(name in text for text in notes_at(lab, lab.destination) for name in NEW)
    for _ in range(2):
        cold(lab, lab.source).confirm(lab.guest)
    assert power(lab, lab.source) is None
    assert lab.disk_md5(lab.source) is None
    assert notes_at(lab, lab.destination) == []
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node2"]


def test_a_cold_move_that_waits_since_an_older_version_is_reverted(
    lab: LibvirtLab, older_version: Older
) -> None:
    before = lab.disk_md5(lab.source)
    with older_version():
        move_cold(lab)
    for _ in range(2):
        cold(lab, lab.destination).discard(lab.guest)
        assert cold(lab, lab.source).finish_revert(lab.guest, power_on=True) is PowerState.RUNNING
    assert power(lab, lab.destination) is None
    assert lab.disk_md5(lab.destination) is None
    assert lab.disk_md5(lab.source) == before
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node1"]


def test_a_cold_move_that_an_older_version_has_begun_is_finished(
    lab: LibvirtLab, older_version: Older
) -> None:
    with older_version():
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    assert move_cold(lab) is PowerState.RUNNING
    cold(lab, lab.source).confirm(lab.guest)
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node2"]
    assert lab.disk_md5(lab.source) is None


def test_disks_that_an_older_version_has_copied_are_cleared(lab: LibvirtLab, older_version: Older) -> None:
    with older_version():
        cold(lab, lab.source).move_disk_and_power_off(lab.guest, lab.destination, ignore)
    cold(lab, lab.destination).discard(lab.guest)
    cold(lab, lab.source).finish_revert(lab.guest, power_on=True)
    assert list(lab.host(lab.destination).images.iterdir()) == []
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node1"]


def test_disks_that_an_older_version_has_prepared_are_cleared(lab: LibvirtLab, older_version: Older) -> None:
    with older_version():
        prepare(lab)
    assert len(notes_at(lab, lab.destination)) == 1
    live(lab, lab.destination).discard(lab.guest)
    assert list(lab.host(lab.destination).images.iterdir()) == []
    assert lab.disk_md5(lab.source) is not None


def test_disks_that_an_older_version_has_prepared_are_used(lab: LibvirtLab, older_version: Older) -> None:
    with older_version():
        prepare(lab)
    move(lab)
    live(lab, lab.source).clean_source(lab.guest)
    assert lab.disk_md5(lab.source) is None
    assert lab.beating() == ["node2"]


def test_a_live_move_that_an_older_version_has_begun_is_joined(lab: LibvirtLab, older_version: Older) -> None:
    with older_version(), pytest.raises(Interrupted):
        move(lab, let_go)
    assert "migration" not in mark_of(lab, lab.source, LIVE)
    live(lab, lab.source).move(lab.guest, lab.destination, lab.slow, ignore, block_migration=True)
    live(lab, lab.source).clean_source(lab.guest)
    assert lab.disk_md5(lab.source) is None
    assert lab.beating() == ["node2"]


def test_a_live_move_that_an_older_version_has_begun_is_aborted(
    lab: LibvirtLab, older_version: Older
) -> None:
    with older_version(), pytest.raises(Interrupted):
        move(lab, let_go)
    assert live(lab, lab.source).abort(lab.guest) is True
    live(lab, lab.destination).discard(lab.guest)
    assert list(lab.host(lab.destination).images.iterdir()) == []
    assert lab.beating() == ["node1"]


@pytest.mark.parametrize("again", ["snapshot", "discard"])
def test_a_backup_that_an_older_version_has_begun_is_taken_up(
    lab: LibvirtLab, older_version: Older, tmp_path: Path, again: str
) -> None:
    target = str(tmp_path / "backup")
    with older_version(), pytest.raises(Interrupted):
        backup(lab).snapshot(lab.guest, target, let_go)
    if again == "snapshot":
        assert backup(lab).snapshot(lab.guest, target, ignore).size_bytes > 0
    else:
        backup(lab).discard(lab.guest)
    assert {file.name for file in lab.host(lab.source).images.iterdir()} == {"web.qcow2"}


def test_a_guest_that_an_older_version_was_making_is_given_up(
    lab: LibvirtLab, older_version: Older, tmp_path: Path
) -> None:
    content = saved(lab, tmp_path)
    with older_version(), pytest.raises(Interrupted):
        restore(lab).make(new_guest(lab), content, let_go, power_on=False)
    restore(lab).discard(new_guest(lab))
    assert found_restored(lab) is None
    assert list(lab.host(lab.destination).images.iterdir()) == []
