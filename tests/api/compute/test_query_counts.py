"""A list of fifty needs as many queries as a list of five."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Aggregate, Project
from tests.conftest import Caller
from tests.factories import (
    make_action,
    make_allocation,
    make_event,
    make_flavor,
    make_host,
    make_interface,
    make_migration,
    make_server,
)


def some_servers(project: Project, number: int) -> None:
    for _ in range(number):
        server = make_server(project, flavor=make_flavor())
        make_interface(server, "10.0.0.1/24")
        make_allocation(server)
        make_migration(server)


def some_aggregates(project: Project, number: int) -> None:
    for index in range(number):
        aggregate = Aggregate.objects.create(name=f"{number}-{index}")
        aggregate.hosts.add(make_host())


def some_flavors(project: Project, number: int) -> None:
    for _ in range(number):
        make_flavor()


def queries(caller: Caller, path: str, version: str) -> int:
    caller.get("/v2.1/flavors")  # what is read once in a process
    with CaptureQueriesContext(
        connection,
    ) as seen:
        assert caller.get(path, version).status_code == 200
    return len(seen)


@pytest.mark.parametrize(
    ("path", "version", "make"),
    [
        ("/v2.1/servers", "2.1", some_servers),
        ("/v2.1/servers/detail", "2.1", some_servers),
        ("/v2.1/servers/detail", "2.104", some_servers),
        ("/v2.1/servers/detail?tags=a&ip=10", "2.90", some_servers),
        ("/v2.1/os-migrations", "2.80", some_servers),
        ("/v2.1/os-services", "2.69", some_servers),
        ("/v2.1/os-hypervisors/detail", "2.87", some_servers),
        ("/v2.1/os-hypervisors/detail?with_servers=true", "2.88", some_servers),
        ("/v2.1/os-hypervisors/statistics", "2.1", some_servers),
        ("/v2.1/os-hosts", "2.1", some_servers),
        ("/v2.1/os-aggregates", "2.1", some_aggregates),
        ("/v2.1/flavors/detail", "2.61", some_flavors),
    ],
)
def test_length_of_a_list_does_not_matter(
    admin: Caller, project: Project, path: str, version: str, make: Callable[[Project, int], Any]
) -> None:
    make(project, 5)
    few = queries(admin, path, version)
    make(project, 45)
    assert queries(admin, path, version) == few <= 8


def test_number_of_actions_and_events_does_not_matter(admin: Caller, project: Project) -> None:
    server = make_server(project)
    action = make_action(server)
    make_event(action, "first")
    path = f"/v2.1/servers/{server.uuid}/os-instance-actions"
    few = [queries(admin, address, "2.84") for address in (path, f"{path}/{action.request_id}")]
    for number in range(40):
        make_action(server)
        make_event(action, f"event-{number}")
    assert [queries(admin, address, "2.84") for address in (path, f"{path}/{action.request_id}")] == few
