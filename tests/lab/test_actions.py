"""Actions from the REST door to a real guest: what the answer says is true on the guest's side."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from servers.actions.task import Task
from servers.drivers.base import Progress
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.models import ActionRecord, Migration, Server
from servers.states import ActionStatus, MigrationStatus, PowerState, VmState
from tests.conftest import Caller
from tests.drivers.contract import power
from tests.lab.stage import LibvirtLab

pytestmark = pytest.mark.django_db

NEWEST = "2.96"


def act(caller: Caller, server: Server, body: dict[str, Any]) -> ActionRecord:
    """Ask for an action, and carry it out."""
    response = caller.post(f"/v2.1/servers/{server.uuid}/action", body, NEWEST)
    assert response.status_code in {202, 204}, response.content
    run_until_idle()
    return ActionRecord.objects.filter(server=server).latest("created_at")


def live(host: str | None = "node2") -> dict[str, Any]:
    return {"os-migrateLive": {"host": host, "block_migration": "auto"}}


def shown(caller: Caller, server: Server) -> dict[str, Any]:
    body = caller.get(f"/v2.1/servers/{server.uuid}", NEWEST).json()["server"]
    return {"status": body["status"], "host": body["OS-EXT-SRV-ATTR:host"]}


def test_a_live_migration_moves_the_guest_that_runs(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    before = lab.heartbeat()
    record = act(admin, server, live())
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node2"}
    assert lab.heartbeat() > before > 0
    assert lab.beating() == ["node2"]
    assert power(lab, lab.source) is None
    assert lab.disk_md5(lab.source) is None


def test_a_paused_guest_stands_still_and_goes_on(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    before = lab.heartbeat()
    record = act(admin, server, {"pause": None})
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "PAUSED", "host": "node1"}
    assert power(lab, lab.source) is PowerState.PAUSED
    assert lab.beating() == []
    record = act(admin, server, {"unpause": None})
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node1"}
    assert lab.beating() == ["node1"]
    assert lab.heartbeat() > before > 0


def test_a_killed_worker_is_followed_by_one_that_attaches(
    admin: Caller, server: Server, lab: LibvirtLab, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The worker is gone."""

    def dies(task: Task, progress: object) -> None:
        raise Killed

    settings.LEASE_TTL_S = 1
    with monkeypatch.context() as patch:
        patch.setattr(WorkingTask, "report", dies)
        with pytest.raises(Killed):
            act(admin, server, live())
    found = lab.driver(lab.source).find_guest(server.uuid)
    assert found is not None
    assert found.job_destination == "node2"
    settings.LEASE_TTL_S = 60
    time.sleep(1.5)
    run_until_idle()
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node2"}
    assert lab.beating() == ["node2"]
    assert Migration.objects.get(server=server).status == MigrationStatus.COMPLETED


def meanwhile(monkeypatch: pytest.MonkeyPatch, ask: Callable[[Migration], None]) -> None:
    """Ask for something, and carry it out, at the first report of a move."""
    report = WorkingTask.report
    asked: list[Migration] = []

    def reported(task: WorkingTask, progress: Progress) -> None:
        report(task, progress)
        if not asked:
            asked.append(Migration.objects.get(status=MigrationStatus.RUNNING))
            ask(asked[0])
            run_until_idle(wait=False)

    monkeypatch.setattr(WorkingTask, "report", reported)


def test_a_live_migration_is_aborted(
    admin: Caller, server: Server, lab: LibvirtLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abort(migration: Migration) -> None:
        answer = admin.delete(f"/v2.1/servers/{server.uuid}/migrations/{migration.pk}", NEWEST)
        assert answer.status_code == 202, answer.content

    lab.make_busy()
    meanwhile(monkeypatch, abort)
    before = lab.heartbeat()
    act(admin, server, live())
    moved = ActionRecord.objects.get(server=server, slug="live-migration")
    assert moved.status == ActionStatus.CANCELLED
    assert Migration.objects.get(server=server).status == MigrationStatus.CANCELLED
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node1"}
    assert lab.heartbeat() > before > 0
    assert lab.beating() == ["node1"]
    assert lab.disk_md5(lab.destination) is None


def test_a_live_migration_that_is_forced_while_its_disk_is_copied_ends_as_soon_as_its_memory_is(
    admin: Caller, server: Server, lab: LibvirtLab, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def force(migration: Migration) -> None:
        address = f"/v2.1/servers/{server.uuid}/migrations/{migration.pk}/action"
        answer = admin.post(address, {"force_complete": None}, NEWEST)
        assert answer.status_code == 202, answer.content

    settings.LIVE_MIGRATION_BANDWIDTH_MIB_S = 4
    lab.make_busy()
    meanwhile(monkeypatch, force)
    act(admin, server, live())
    forced = ActionRecord.objects.get(server=server, slug="force-complete")
    assert (forced.status, forced.result) == (ActionStatus.SUCCEEDED, {"taken_at_once": False})
    moved = ActionRecord.objects.get(server=server, slug="live-migration")
    assert moved.status == ActionStatus.SUCCEEDED, moved.error_text
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node2"}
    assert lab.beating() == ["node2"]


def test_a_live_migration_to_a_dead_host_leaves_the_guest_alone(
    admin: Caller, server: Server, lab: LibvirtLab
) -> None:
    lab.host(lab.destination).crash()
    record = act(admin, server, live())
    assert record.status == ActionStatus.FAILED
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node1"}
    assert lab.beating() == ["node1"]


def test_a_cold_migration_is_confirmed(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    record = act(admin, server, {"migrate": {"host": "node2"}})
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "VERIFY_RESIZE", "host": "node2"}
    assert power(lab, lab.source) is PowerState.SHUTDOWN
    assert lab.disk_md5(lab.source) is not None
    act(admin, server, {"confirmResize": None})
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node2"}
    assert lab.disk_md5(lab.source) is None
    assert lab.disk_md5(lab.destination) is not None
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node2"]


def test_a_cold_migration_is_reverted(admin: Caller, server: Server, lab: LibvirtLab) -> None:
    act(admin, server, {"migrate": {"host": "node2"}})
    record = act(admin, server, {"revertResize": None})
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert shown(admin, server) == {"status": "ACTIVE", "host": "node1"}
    server.refresh_from_db()
    assert server.vm_state == VmState.ACTIVE
    assert lab.disk_md5(lab.destination) is None
    assert lab.heartbeat() > 0
    assert lab.beating() == ["node1"]
