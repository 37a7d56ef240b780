"""A backup that is given up: its job ends, and nothing is left of it."""

from __future__ import annotations

import pytest
from django.conf import settings

from servers import clock
from servers.drivers.base import JobKind, Pool
from servers.engine import images
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.fleet.drivers import ref
from servers.models import ActionRecord, Image, Server
from servers.states import ActionStatus, ImageStatus
from tests.small_fleet import GIB, SHARED, SmallFleet

BACKUP = {"name": "nightly", "backup_type": "daily", "rotation": 1}


class Killed(BaseException):
    """The worker is gone."""


@pytest.fixture
def abandoned(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server whose backup runs, and whose worker is gone."""

    def dies(task: object, progress: object) -> None:
        raise Killed

    local = Pool("local", "node1:/var/lib/libvirt/images", False, 1000 * GIB, 0)
    fleet.simulation.add_host("node1", memory_mb=8192, pools=[local, SHARED], disk_bytes_s=1_000_000)
    server = fleet.add_server()
    fleet.submit("create-backup", server, name="nightly", backup_type="daily", rotation=1)
    with monkeypatch.context() as patch:
        patch.setattr(WorkingTask, "report", dies)
        with pytest.raises(Killed):
            run_until_idle()
    assert job_of(fleet, server) is JobKind.BACKUP
    return server


def job_of(fleet: SmallFleet, server: Server) -> JobKind | None:
    """Return the job that runs for the server's guest, asked of its host."""
    assert server.host is not None
    found = fleet.simulation.driver(ref(server.host)).find_guest(server.pk)
    return None if found is None else found.job


def test_resetting_the_state_ends_its_job_and_drops_its_image(fleet: SmallFleet, abandoned: Server) -> None:
    fleet.submit("reset-state", abandoned, state="active")
    clock.sleep(2)
    run_until_idle()
    assert ActionRecord.objects.get(slug="create-backup").status == ActionStatus.CANCELLED
    assert job_of(fleet, abandoned) is None
    assert Image.objects.get().status == ImageStatus.DELETED


def test_the_next_worker_goes_on_with_its_job(fleet: SmallFleet, abandoned: Server) -> None:
    clock.sleep(settings.LEASE_TTL_S + 1)
    fleet.heartbeat()
    run_until_idle()
    assert ActionRecord.objects.get(slug="create-backup").status == ActionStatus.SUCCEEDED
    assert Image.objects.get().status == ImageStatus.ACTIVE


@pytest.mark.parametrize("status", ["queued", "saving"])
def test_an_unfinished_image_of_an_action_that_is_over_is_deleted(fleet: SmallFleet, status: str) -> None:
    server = fleet.add_server()
    record = fleet.do("create-backup", server, **BACKUP)
    Image.objects.filter(pk=record.image_id).update(status=status)
    images.discard_left()
    assert Image.objects.get(pk=record.image_id).status == "deleted"
    assert images.discard_left() == 0


def test_an_image_that_somebody_is_about_to_make_is_left_alone(fleet: SmallFleet) -> None:
    record = fleet.submit("create-backup", fleet.add_server(), **BACKUP).record
    images.discard_left()
    assert Image.objects.get(pk=record.image_id).status == "queued"


def test_a_caller_overrides_no_property_that_gantry_goes_by(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    honest = fleet.submit("create-backup", server, **BACKUP).record.image
    fleet.work()
    lies = dict.fromkeys([*images.OF_GLANCE, *images.OF_NOVA, "os_glance_x"], "a lie") | {"mine": "kept"}
    liar = fleet.submit("create-backup", server, **BACKUP, metadata=lies).record.image
    assert honest is not None and liar is not None
    assert liar.properties == honest.properties | {"mine": "kept"}


def test_no_property_that_a_server_hands_on_says_whose_its_backup_is(fleet: SmallFleet) -> None:
    lies = dict.fromkeys([*images.OF_GLANCE, *images.OF_NOVA], "a lie")
    server = fleet.add_server(image_properties=lies | {"os_type": "linux"})
    image = fleet.submit("create-backup", server, **BACKUP).record.image
    assert image is not None
    assert {key for key, value in image.properties.items() if value == "a lie"} == set()
    assert image.properties["os_type"] == "linux"
