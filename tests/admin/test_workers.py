"""Workers: who carries actions out, and which ones now."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.models import Project, Worker
from tests.admin.visiting import Visitor, page_of
from tests.engine.test_workers import carried_out

PATH = "/admin/servers/worker/"


def test_page_shows_each_supervisor_with_what_its_processes_carry_out(
    operator: Visitor, project: Project
) -> None:
    Worker.objects.create(name="node1-0123", processes=4)
    Worker.objects.create(name="node2-4567", seen_at=clock.now() - timedelta(minutes=5))
    action = carried_out("node1-0123", project, progress_percent=40)
    text = operator.text(PATH)
    assert "4 processes on node1" in text and "working" in text and "40 %" in text
    assert "silent" in text and "It carries nothing out now." in text
    assert page_of(action) in operator.get(PATH).content.decode()


def test_page_says_when_nobody_is_there(operator: Visitor) -> None:
    assert "No worker is there." in operator.text(PATH)


def test_page_costs_as_many_queries_with_many_workers_as_with_one(
    operator: Visitor, project: Project
) -> None:
    counts = []
    for number in range(3):
        carried_out(Worker.objects.create(name=f"host-{number}").name, project)
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(PATH).status_code == 200
        counts.append(len(queries))
    assert len(set(counts)) == 1
