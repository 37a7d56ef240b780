"""Hosts: usage, and switching them off and on."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.models import Host, Project
from tests.admin.visiting import Visitor, page_of
from tests.factories import make_allocation, make_host, make_server

LIST = "/admin/servers/host/"


def switch(visitor: Visitor, host: Host, **fields: str) -> int:
    return visitor.post(f"/admin/servers/host/{host.pk}/switch/", fields).status_code


def test_usage_counts_what_is_allocated_used_and_reserved(operator: Visitor, project: Project) -> None:
    host = make_host("full", reserved_memory_mb=1024)
    for _ in range(2):
        make_allocation(make_server(project, host=host, memory_mb=1024))
    make_allocation(make_server(project, memory_mb=512), host=host)  # on its way here
    text = operator.text(page_of(host))
    assert "2560 of 7168 MiB allocated (36 %)" in text
    assert "2048 used by servers here, 1024 of 8192 reserved" in text
    assert "36 %" in operator.text(LIST)


def test_host_is_disabled_with_a_reason_and_enabled_again(operator: Visitor) -> None:
    host = make_host()
    assert switch(operator, host, enabled="no", reason="smokes") == 303
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (False, "smokes")
    assert "smokes" in operator.text(f"/admin/servers/host/{host.pk}/history/")
    assert switch(operator, host, enabled="yes") == 303
    host.refresh_from_db()
    assert (host.enabled, host.disabled_reason) == (True, "")


def test_disabling_asks_for_a_reason(operator: Visitor) -> None:
    host = make_host()
    assert switch(operator, host, enabled="no", reason="") == 400
    assert Host.objects.get().enabled


@pytest.mark.parametrize("role", ["manager", "member", "reader"])
def test_nobody_else_switches_or_sees_hosts(role: str, project: Project) -> None:
    host, visitor = make_host(), Visitor(project, role)
    assert switch(visitor, host, enabled="no", reason="x") == 403
    assert [visitor.get(p).status_code for p in (LIST, page_of(host))] == [403, 403]


@pytest.mark.parametrize("number", [2, 20])
def test_list_costs_the_same_with_any_number_of_hosts(number: int, operator: Visitor) -> None:
    for _ in range(number):
        make_host()
    with CaptureQueriesContext(connection) as queries:
        operator.get(LIST)
    assert len(queries) == 10, [query["sql"][:90] for query in queries.captured_queries]
