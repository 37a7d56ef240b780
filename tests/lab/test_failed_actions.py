"""What is asked for through REST meets a failure: the guest runs once, the record says what happened, nothing is stuck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from servers.actions.task import Task
from servers.drivers.base import Progress
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.inventory.reconciliation.reconcile import reconcile
from servers.models import ActionRecord, Allocation, Migration, Server
from servers.states import OPEN_ACTION_STATUSES, ActionStatus, MigrationStatus
from tests.conftest import Caller
from tests.lab.hosts import wait_for
from tests.lab.stage import LibvirtLab
from tests.lab.test_actions import NEWEST, act, live, shown

pytestmark = pytest.mark.django_db


def at_first(
    monkeypatch: pytest.MonkeyPatch, do: Callable[[], object], when: Callable[[Progress], object]
) -> None:
    """Do something once, at the first report of which `when` holds."""
    report = WorkingTask.report
    done: list[bool] = []

    def reported(task: WorkingTask, progress: Progress) -> None:
        report(task, progress)
        if not done and when(progress):
            done.append(True)
            do()

    monkeypatch.setattr(WorkingTask, "report", reported)


def copies_memory(progress: Progress) -> object:
    return progress.memory_processed_bytes


def ask(caller: Caller, server: Server, body: dict[str, Any]) -> ActionRecord:
    """Ask for an action, and do what is due at once."""
    response = caller.post(f"/v2.1/servers/{server.uuid}/action", body, NEWEST)
    assert response.status_code == 202, response.content
    run_until_idle(wait=False)
    return ActionRecord.objects.get(server=server)


def assert_ended_as_recorded(lab: LibvirtLab, record: ActionRecord, *expected: ActionStatus) -> None:
    """Assert that the guest runs where the end of its move says; a failure says why."""
    record.refresh_from_db()
    assert record.status in (expected or (ActionStatus.SUCCEEDED, ActionStatus.FAILED))
    moved = record.status == ActionStatus.SUCCEEDED
    assert moved or record.error_text
    home = "node2" if moved else "node1"
    wanted = {MigrationStatus.COMPLETED} if moved else {MigrationStatus.ERROR, MigrationStatus.FAILED}
    assert Migration.objects.get().status in wanted
    assert lab.heartbeat() > 0
    assert lab.beating() == [home]
    assert_nothing_is_stuck(record.server, home)


def assert_nothing_is_stuck(server: Server, host: str) -> None:
    assert not ActionRecord.objects.filter(status__in=OPEN_ACTION_STATUSES).exists()
    server.refresh_from_db()
    assert (server.task_state, server.host.name if server.host else None) == ("", host)
    assert [row.host.name for row in Allocation.objects.all()] == [host]
    assert reconcile().found == ()


def test_a_source_libvirtd_that_dies_leaves_an_action_that_is_settled_when_it_is_back(
    admin: Caller,
    server: Server,
    lab: LibvirtLab,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.UNKNOWN_RETRY_S = 1
    host = lab.host(lab.source)
    at_first(monkeypatch, host.stop_libvirtd, copies_memory)
    record = ask(admin, server, live())
    assert record.status == ActionStatus.UNKNOWN
    refused = admin.post(f"/v2.1/servers/{server.uuid}/action", live(), NEWEST)
    assert refused.status_code == 409
    assert lab.beating() == ["node1"]
    host.start_libvirtd()
    run_until_idle()
    assert_ended_as_recorded(lab, record)


def test_a_network_that_is_cut_holds_the_move_up_until_it_is_whole_again(
    admin: Caller,
    server: Server,
    lab: LibvirtLab,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.UNKNOWN_RETRY_S = 1
    host = lab.host(lab.destination)
    at_first(monkeypatch, host.cut, copies_memory)
    record = ask(admin, server, live())
    assert "node2" not in lab.beating()
    host.heal()
    wait_for("node2 answers", host.answers, 60)
    run_until_idle()
    assert_ended_as_recorded(lab, record)


def test_a_destination_host_that_dies_leaves_the_guest_at_home_and_says_why(
    admin: Caller,
    server: Server,
    lab: LibvirtLab,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.UNKNOWN_RETRY_S = 1
    host = lab.host(lab.destination)
    at_first(monkeypatch, host.crash, copies_memory)
    record = ask(admin, server, live())
    host.start()
    run_until_idle()
    assert {left.outcome for left in reconcile().found} <= {"repaired"}  # what a dead host could not discard
    assert_ended_as_recorded(lab, record, ActionStatus.FAILED)


def test_a_worker_that_is_killed_while_it_copies_a_disk_is_followed_by_one_that_ends_the_move(
    admin: Caller,
    server: Server,
    lab: LibvirtLab,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Killed(BaseException):
        """The worker is gone."""

    def dies(task: Task, progress: Progress) -> None:
        raise Killed

    settings.LEASE_TTL_S = 1
    with monkeypatch.context() as patch:
        patch.setattr(WorkingTask, "report", dies)
        with pytest.raises(Killed):
            ask(admin, server, {"migrate": {"host": "node2"}})
    settings.LEASE_TTL_S = 60
    record = ActionRecord.objects.get()
    assert record.status == ActionStatus.RUNNING
    wait_for("the lease has run out", lambda: run_until_idle() or has_ended(record), 30, 0.5)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "VERIFY_RESIZE", "host": "node2"}
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node2"]
    act(admin, server, {"revertResize": None})
    assert lab.heartbeat() > 0
    assert_nothing_is_stuck(server, "node1")


def has_ended(record: ActionRecord) -> bool:
    record.refresh_from_db()
    return record.status not in OPEN_ACTION_STATUSES
