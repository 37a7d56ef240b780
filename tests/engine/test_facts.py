"""An attempt keeps what it has read for a step; what may have changed since is read again before it matters."""

from __future__ import annotations

from typing import Any

import pytest

from servers.engine.execution import lease, single_instance
from servers.engine.execution.task import WorkingTask
from servers.errors import GroupPolicyViolated
from servers.models import Host, Server, ServerDisk, ServerGroup
from servers.states import PowerState
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def server(fleet: SmallFleet) -> Server:
    return fleet.add_server()


@pytest.fixture
def task(fleet: SmallFleet, server: Server) -> WorkingTask:
    """Return an attempt that has read its facts already."""
    record = fleet.submit("pause", server).record
    held = lease.claim(record.pk, "worker")
    assert held is not None
    task = WorkingTask(held)
    assert task.guest.disks and task.server.power_state is PowerState.RUNNING
    return task


def test_a_disk_that_was_placed_is_one_of_the_guest(task: WorkingTask) -> None:
    disk = task.guest.disks[0]
    ServerDisk.objects.all().delete()
    task.place_disk("node1", disk)
    ServerDisk.objects.update(path="/elsewhere")
    assert [found.path for found in task.guest.disks] == ["/elsewhere"]


def test_an_undo_finds_the_facts_as_they_are_then(task: WorkingTask) -> None:
    Server.objects.update(power_state=PowerState.PAUSED)
    task.begin_undo(task.definition.steps[0])
    assert task.server.power_state is PowerState.PAUSED


def test_who_must_answer_before_a_guest_is_started_is_read_then(
    task: WorkingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(single_instance, "refuse_elsewhere", lambda *given: asked.append(given[2]))
    Server.objects.update(host=Host.objects.get(name="node2"))
    task.prove_alone("node1")
    assert asked == [{"node1", "node2"}]


def test_the_group_is_looked_at_as_it_is_when_it_is_checked(
    task: WorkingTask, server: Server, fleet: SmallFleet
) -> None:
    group = ServerGroup.objects.create(name="db", project_id="p", user_id="u", policy="anti-affinity")
    Server.objects.filter(pk=fleet.add_server("other", "node2").pk).update(group=group)
    Server.objects.filter(pk=server.pk).update(group=group)
    with pytest.raises(GroupPolicyViolated, match="node2"):
        task.check_group("node2")
