"""A new server out of a backup: what there is of it in the database and in the simulation, whatever goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from servers import clock
from servers.engine.accepting.restore import restore
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.engine.images import delete_image
from servers.errors import HostUnknown, ImageUnacceptable, NotPermitted
from servers.models import ActionRecord, Allocation, Host, Image, Server
from servers.states import ActionStatus, PowerState, TaskState, VmState
from tests.factories import make_host, make_image, make_project
from tests.small_fleet import SmallFleet


@pytest.fixture
def saved(fleet: SmallFleet) -> Server:
    """Return a server of which there is a backup."""
    server = fleet.add_server()
    fleet.heartbeat()
    record = fleet.do("create-backup", server, name="nightly", backup_type="daily", rotation=1)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    return server


def image_of(server: Server) -> Image:
    return Image.objects.get(server=server)


def restored(fleet: SmallFleet, server: Server, **params: Any) -> ActionRecord:
    """Ask for a restoration, carry it out, and return its record."""
    accepted = restore(image_of(server), {"name": "again", **params}, fleet.context())
    fleet.work()
    return ActionRecord.objects.select_related("server").get(pk=accepted.record.pk)


def left_in_the_fleet(fleet: SmallFleet, record: ActionRecord) -> list[str]:
    return fleet.simulation.defined_on(record.server_id)


def test_a_restored_server_is_a_new_one_of_the_same_size(fleet: SmallFleet, saved: Server) -> None:
    record = restored(fleet, saved)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    server = record.server
    assert server.pk != saved.pk
    assert (server.name, server.vm_state, server.task_state) == ("again", VmState.STOPPED, TaskState.IDLE)
    assert (server.vcpus, server.memory_mb, server.root_gb) == (saved.vcpus, saved.memory_mb, saved.root_gb)
    assert server.host is not None
    assert left_in_the_fleet(fleet, record) == [server.host.name]
    assert Allocation.objects.get(server=server).host == server.host
    assert server.launched_at is not None


def test_its_disk_holds_what_was_saved(fleet: SmallFleet, saved: Server) -> None:
    record = restored(fleet, saved)
    assert record.server.host is not None
    there = fleet.simulation.disk_md5(record.server.host.name, record.server_id)
    assert there == fleet.simulation.disk_md5("node1", saved.pk)
    assert record.server.disks.get().path != saved.disks.get().path


def test_it_has_its_own_hardware_address_and_none_of_the_saved_ones_addresses(
    fleet: SmallFleet, saved: Server
) -> None:
    interface = restored(fleet, saved).server.interfaces.get()
    original = saved.interfaces.get()
    assert interface.mac != original.mac
    assert (interface.network, interface.addresses) == (original.network, [])


def test_the_saved_server_stays_as_it_was(fleet: SmallFleet, saved: Server) -> None:
    before = fleet.state(saved)
    restored(fleet, saved)
    assert fleet.state(saved) == before


def test_it_runs_when_it_is_to_be_started(fleet: SmallFleet, saved: Server) -> None:
    record = restored(fleet, saved, start=True)
    assert (record.server.vm_state, record.server.power_state) == (VmState.ACTIVE, PowerState.RUNNING)
    assert fleet.simulation.running_on(record.server_id) is not None


def test_it_is_made_on_the_host_that_was_named(fleet: SmallFleet, saved: Server) -> None:
    host = restored(fleet, saved, host="node3").server.host
    assert host is not None
    assert host.name == "node3"


def test_a_host_of_another_driver_is_not_chosen(fleet: SmallFleet, saved: Server) -> None:
    Host.objects.exclude(name="node2").update(driver="libvirt")
    host = restored(fleet, saved).server.host
    assert host is not None
    assert host.name == "node2"


def test_it_can_be_restored_when_the_saved_server_is_lost(fleet: SmallFleet, saved: Server) -> None:
    fleet.simulation.remove_guest("node1", saved.pk)
    Server.objects.filter(pk=saved.pk).update(deleted_at=clock.now())
    assert restored(fleet, saved).status == ActionStatus.SUCCEEDED


def test_a_restored_server_can_be_moved_and_saved_like_any_other(fleet: SmallFleet, saved: Server) -> None:
    server = restored(fleet, saved, start=True, host="node2").server
    moved = fleet.do("live-migration", server, host="node3", block_migration="auto")
    assert moved.status == ActionStatus.SUCCEEDED, moved.error_text
    again = fleet.do("create-backup", server, name="b", backup_type="daily", rotation=1)
    assert again.status == ActionStatus.SUCCEEDED, again.error_text


# --------------------------------------------------------------------------------- what goes wrong


def test_what_fails_leaves_nothing_but_its_record(fleet: SmallFleet, saved: Server) -> None:
    fleet.simulation.set_fault("restore", None, error="RestoreFailed", args={"reason": "EIO"})
    record = restored(fleet, saved)
    assert record.status == ActionStatus.FAILED
    assert record.error_text == "The backup was not restored: EIO"
    assert record.server.vm_state == VmState.DELETED
    assert record.server.deleted_at is not None
    assert left_in_the_fleet(fleet, record) == []
    assert not Allocation.objects.filter(server=record.server).exists()


def test_no_host_with_room_makes_no_server(fleet: SmallFleet, saved: Server) -> None:
    Host.objects.update(memory_mb=1)
    record = restored(fleet, saved)
    assert (record.status, record.error_code) == (ActionStatus.FAILED, "no_valid_host")
    assert record.server.vm_state == VmState.DELETED


def test_bytes_that_were_changed_are_not_restored(fleet: SmallFleet, saved: Server) -> None:
    file = Path(settings.IMAGE_DIR) / str(image_of(saved).pk)
    file.write_bytes(b"x" * file.stat().st_size)
    record = restored(fleet, saved)
    assert record.status == ActionStatus.FAILED
    assert "SHA-256" in record.error_text
    assert left_in_the_fleet(fleet, record) == []


def test_a_backup_that_is_deleted_meanwhile_fails_the_restoration(fleet: SmallFleet, saved: Server) -> None:
    image = image_of(saved)
    accepted = restore(image, {"name": "again"}, fleet.context())
    delete_image(image, fleet.context())
    fleet.work()
    accepted.record.refresh_from_db()
    assert accepted.record.status == ActionStatus.FAILED
    assert accepted.record.error_code == "image_store_fault"


def test_who_comes_after_a_killed_worker_makes_one_server(
    fleet: SmallFleet, saved: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The worker is gone."""

    def dies(task: object, progress: object) -> None:
        raise Killed

    accepted = restore(image_of(saved), {"name": "again", "start": True}, fleet.context())
    with monkeypatch.context() as patch:
        patch.setattr(WorkingTask, "report", dies)
        with pytest.raises(Killed):
            run_until_idle()
    clock.sleep(settings.LEASE_TTL_S + 1)
    fleet.heartbeat()
    fleet.work()
    accepted.record.refresh_from_db()
    assert accepted.record.status == ActionStatus.SUCCEEDED, accepted.record.error_text
    assert Server.objects.filter(name="again").count() == 1
    assert len(left_in_the_fleet(fleet, accepted.record)) == 1


def test_a_silent_host_leaves_the_outcome_open_until_it_answers(fleet: SmallFleet, saved: Server) -> None:
    fleet.simulation.set_fault("restore", "node2", mode="hang_after", times=1)
    record = restored(fleet, saved, host="node2")
    record.refresh_from_db()
    assert record.status in {ActionStatus.UNKNOWN, ActionStatus.SUCCEEDED}
    clock.sleep(settings.UNKNOWN_RETRY_S + 1)
    fleet.work()
    record.refresh_from_db()
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert left_in_the_fleet(fleet, record) == ["node2"]


# ------------------------------------------------------------------------------------ what is refused


def test_a_member_restores_in_the_images_project_and_chooses_no_host(
    fleet: SmallFleet, saved: Server
) -> None:
    image, member = image_of(saved), fleet.context("member")
    assert restore(image, {"name": "again"}, member).record.server.project_id == image.project_id
    with pytest.raises(NotPermitted, match="forced_host"):
        restore(image, {"name": "again", "host": "node2"}, member)


def test_a_reader_and_a_stranger_restore_nothing(fleet: SmallFleet, saved: Server) -> None:
    with pytest.raises(NotPermitted):
        restore(image_of(saved), {"name": "again"}, fleet.context("reader"))
    with pytest.raises(NotPermitted):
        restore(image_of(saved), {"name": "again"}, fleet.context("member"), make_project())
    assert not Server.objects.filter(name="again").exists()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "saving"}, "its status is saving"),
        ({"never_uploaded": True}, "there is nothing in it"),
        ({}, "does not say what the guest was"),
    ],
)
def test_an_image_of_which_no_server_can_be_made_says_why(
    fleet: SmallFleet, fields: dict[str, Any], reason: str
) -> None:
    image = make_image(fleet.project, server=fleet.add_server(), **fields)
    with pytest.raises(ImageUnacceptable, match=reason):
        restore(image, {"name": "again"}, fleet.context())


def test_a_host_that_nobody_knows_is_refused(fleet: SmallFleet, saved: Server) -> None:
    make_host("spare")
    with pytest.raises(HostUnknown):
        restore(image_of(saved), {"name": "again", "host": "elsewhere"}, fleet.context())


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("error", ["DriverFault", "RestoreFailed"])
def test_a_restoration_that_fails_when_its_guest_is_defined_leaves_no_guest(
    error: str, start: bool, fleet: SmallFleet, saved: Server
) -> None:
    args = {"reason": "the host says so"} if error == "RestoreFailed" else None
    fleet.simulation.set_fault("restore", mode="fail_after", error=error, args=args)
    record = restored(fleet, saved, start=start)
    assert record.status == ActionStatus.FAILED
    assert left_in_the_fleet(fleet, record) == []
    assert record.server.deleted_at is not None
    assert not Allocation.objects.filter(server=record.server).exists()
