"""`/gantry/v1/workers`: who carries actions out, and which ones now."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import Project, Worker
from tests.conftest import Caller
from tests.engine.test_workers import carried_out

PATH = "/gantry/v1/workers"


def test_supervisor_is_shown_with_what_its_processes_carry_out(admin: Caller, project: Project) -> None:
    worker = Worker.objects.create(name="node1-0123", processes=4)
    action = carried_out(worker.name, project, step="move_guest", progress_percent=40)
    (found,) = admin.get(PATH).json()["workers"]
    (shown,) = found.pop("actions")
    assert found == {
        "name": "node1-0123",
        "machine": "node1",
        "alive": True,
        "processes": 4,
        "started_at": f"{worker.started_at:%Y-%m-%dT%H:%M:%S.%f}",
        "seen_at": f"{worker.seen_at:%Y-%m-%dT%H:%M:%S.%f}",
    }
    assert (shown["id"], shown["slug"], shown["server_name"]) == (
        str(action.pk),
        "migrate",
        action.server.name,
    )
    assert (shown["step"], shown["progress_percent"], shown["process"]) == ("move_guest", 40, action.worker)


def test_nobody_else_sees_who_works(manager: Caller, reader: Caller) -> None:
    for caller in (manager, reader):
        response = caller.get(PATH)
        assert response.status_code == 403
        assert "gantry:workers:list" in response.json()["forbidden"]["message"]


def test_list_costs_as_many_queries_with_many_workers_as_with_one(
    admin: Caller, project: Project, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        carried_out(Worker.objects.create(name=f"host-{number}").name, project)
    with django_assert_max_num_queries(4):  # two for the token
        assert len(admin.get(PATH).json()["workers"]) == 5


@pytest.mark.parametrize("query", ["?what=1", "?limit=1"])
def test_key_that_means_nothing_is_refused(admin: Caller, query: str) -> None:
    assert admin.get(f"{PATH}{query}").status_code == 400
