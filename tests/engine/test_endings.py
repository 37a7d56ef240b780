"""How actions end: which fault means what, and what is taken back in which order."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import OperationalError

from servers import clock
from servers.actions import definitions
from servers.actions.base import Action
from servers.actions.task import Task
from servers.engine import images
from servers.engine.accepting.restore import restore
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.verdicts import Moment, Verdict, verdict_of
from servers.errors import DriverFault, HypervisorUnavailable, MigrationAborted, MigrationFailed
from servers.models import Image
from servers.states import ActionStatus, ImageStatus
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

LIVE = {"host": "node2", "block_migration": "auto"}
BACKUP = {"backup_type": "daily", "rotation": 1}


def test_database_that_is_away_is_no_verdict_on_an_action() -> None:
    for moment in (Moment(), Moment(touched=True), Moment(cancelled=True), Moment(behind_switch=True)):
        assert verdict_of(OperationalError("gone"), moment) is Verdict.LOOK_AGAIN


def test_behind_the_switch_no_fault_ends_an_action() -> None:
    for error in (DriverFault(message="no"), HypervisorUnavailable(), ValueError("a bug")):
        assert verdict_of(error, Moment(behind_switch=True)) is Verdict.LOOK_AGAIN


@pytest.mark.parametrize(
    "error", [MigrationAborted(host="node1"), MigrationFailed(host="node1", reason="it ended")]
)
def test_a_move_that_ends_after_an_abort_was_asked_for_is_cancelled(error: DriverFault) -> None:
    assert verdict_of(error, Moment(touched=True, cancelled=True)) is Verdict.CANCEL
    assert verdict_of(error, Moment(touched=True)) is Verdict.FAIL


def test_what_was_refused_is_not_taken_back(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault("pre_live_migration", times=1)
    fleet.simulation.set_fault("rollback_live_migration", times=1)
    record = fleet.do("live-migration", server, **LIVE)
    assert (record.status, record.result.get("not_undone")) == (ActionStatus.FAILED, None)


def test_steps_are_taken_back_in_reverse(fleet: SmallFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    definition = definitions["restore"]

    def noting(name: str) -> object:
        def undo(definition: Action, task: Task) -> None:
            order.append(name)

        return undo

    steps = tuple(replace(s, undo_with=noting(s.name)) if s.undo_with else s for s in definition.steps)
    monkeypatch.setattr(definition, "steps", steps)
    fleet.do("create-backup", fleet.add_server(), name="old", **BACKUP)
    fleet.simulation.set_fault("restore", mode="fail_after", times=1)
    restore(Image.objects.get(), {"name": "again"}, fleet.context())
    run_until_idle()
    assert order == ["make_guest", "choose_host"]


def test_guest_is_brought_back_although_its_copy_cannot_be_removed(fleet: SmallFleet) -> None:
    server = fleet.add_server(storage="local")
    fleet.simulation.set_fault("migrate_disk_and_power_off", mode="fail_after", times=1)
    fleet.simulation.set_fault("revert", times=1)
    record = fleet.do("migrate", server)
    assert (record.status, len(record.result["not_undone"])) == (ActionStatus.FAILED, 1)
    assert (fleet.state(server)["vm_state"], fleet.simulation.running_on(server.pk)) == ("active", "node1")


def test_old_backup_is_kept_when_the_new_one_is_not_completed(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="old", **BACKUP)
    fleet.simulation.set_fault("snapshot", times=1)
    record = fleet.do("create-backup", server, name="new", **BACKUP)
    assert record.status == ActionStatus.FAILED
    assert [image.name for image in Image.objects.filter(status=ImageStatus.ACTIVE)] == ["old"]


def test_backup_that_was_never_completed_counts_as_none(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.do("create-backup", server, name="old", **BACKUP)
    whole = Image.objects.get()
    clock.sleep(1)
    fields = {"server": server, "project_id": whole.project_id, "backup_type": "daily"}
    Image.objects.create(name="broken", created_at=clock.now(), **fields)
    rotation = images.rotate(server.pk, "daily", 1, images.Survey(), fleet.context(), newest=uuid4())
    assert (rotation.out, rotation.left_to_others) == ([], [])


def test_a_guest_that_ran_and_could_not_be_started_again_is_in_error_for_everybody_to_see(
    fleet: SmallFleet,
) -> None:
    server = fleet.add_server()
    fleet.simulation.set_fault("migrate_disk_and_power_off", mode="fail_after", times=1)
    fleet.simulation.set_fault("finish_revert_migration", times=1)
    record = fleet.do("migrate", server)
    seen = fleet.state(server)
    assert (record.status, seen["vm_state"], seen["task_state"]) == (ActionStatus.FAILED, "error", "")
    assert "finish_revert_migration" in record.result["not_undone"][0]
