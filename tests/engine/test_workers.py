"""Who works, since when, and on what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from servers import clock
from servers.engine.execution.queue import name_of, unique_name
from servers.engine.execution.workers import at_work
from servers.models import ActionRecord, Project, Worker
from tests.factories import make_action, make_server

pytestmark = pytest.mark.django_db


def carried_out(supervisor: str, project: Project, **fields: Any) -> ActionRecord:
    """Return an action that a process of the supervisor carries out."""
    lease = clock.now() + timedelta(seconds=10)
    process = name_of(unique_name(supervisor), 7)
    defaults = {"status": "running", "worker": process, "lease_until": lease, "started_at": clock.now()}
    return make_action(make_server(project), **{**defaults, **fields})


def test_each_supervisor_has_the_actions_of_its_own_processes(project: Project) -> None:
    names = sorted(unique_name() for _ in range(2))
    for name in names:
        Worker.objects.create(name=name, processes=4)
    first, second, third = (carried_out(names[which], project) for which in (0, 1, 0))
    carried_out(unique_name(), project)  # of a request that waits, or a supervisor that is gone
    found = at_work()
    assert [worker.name for worker in found] == names
    assert [{action.pk for action in worker.actions} for worker in found] == [
        {first.pk, third.pk},
        {second.pk},
    ]


def test_what_is_over_waits_or_lost_its_lease_is_not_carried_out(project: Project) -> None:
    Worker.objects.create(name="here-1")
    carried_out("here-1", project, status="succeeded")
    carried_out("here-1", project, status="unknown")
    carried_out("here-1", project, lease_until=clock.now() - timedelta(seconds=1))
    (worker,) = at_work()
    assert worker.actions == ()


def test_supervisor_that_was_not_seen_for_fifteen_seconds_is_not_alive(db: None) -> None:
    since = clock.now() - timedelta(hours=1)
    for name, silent_s in (("a-host-1", 10), ("b-host-2", 16)):
        Worker.objects.create(
            name=name, started_at=since, seen_at=clock.now() - timedelta(seconds=silent_s), processes=2
        )
    found = at_work()
    assert [(w.machine, w.is_alive, w.started_at, w.processes) for w in found] == [
        ("a-host", True, since, 2),
        ("b-host", False, since, 2),
    ]


def test_any_number_of_workers_and_actions_costs_two_queries(
    project: Project, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        Worker.objects.create(name=f"host-{number}")
        for _ in range(3):
            carried_out(f"host-{number}", project)
    with django_assert_num_queries(2):
        names = [action.server.name for worker in at_work() for action in worker.actions]
    assert len(names) == 15
