"""A server's page: its facts, its buttons with reasons, and what it costs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.actions import registry
from servers.engine.accepting.request_context import context_of
from servers.engine.accepting.submit import explain
from servers.models import Project, Server
from servers.states import TaskState, VmState
from tests.admin.visiting import Visitor, form_of, page_of, reason_on_page
from tests.factories import (
    make_action,
    make_event,
    make_host,
    make_image,
    make_interface,
    make_project,
    make_server,
)

STATES = [
    {},
    {"vm_state": VmState.SHELVED, "task_state": TaskState.DELETING},
    {"vm_state": VmState.RESIZED},
    {"task_state": TaskState.MIGRATING},
    {"locked_by": "admin"},
    {"launched_at": None},
]


@pytest.mark.parametrize("role", ["admin", "manager", "member", "reader"])
@pytest.mark.parametrize("state", STATES, ids=str)
def test_each_button_says_word_for_word_what_the_engine_says(
    role: str, state: dict[str, object], project: Project
) -> None:
    server = make_server(project, **state)
    visitor = Visitor(project, role)
    page = visitor.get(page_of(server))
    context = context_of(visitor.user, project, door="console")
    for action in registry.values():
        refusal = explain(action, server, context)
        assert reason_on_page(page, action.slug) == (str(refusal) if refusal else ""), action.slug
        assert f'id="do-{action.slug}"' in page.content.decode()


def test_reader_sees_reasons_instead_of_links(onlooker: Visitor, server: Server) -> None:
    page = onlooker.get(page_of(server)).content.decode()
    assert page.count('aria-disabled="true"') == len(registry)
    assert all(form_of(slug, server) not in page for slug in registry)


def test_page_shows_facts_backups_and_the_timeline_with_its_reasons(
    operator: Visitor, project: Project, server: Server
) -> None:
    make_interface(server, "10.0.0.5/24")
    make_image(project, name="nightly", server=server, instance_uuid=server.pk, size_bytes=3 * 1024**3)
    action = make_action(server, "migrate", status="failed", error_text="No valid host was found.")
    make_event(action, "cold_migrate", result="Error", details="nobody has room", host="rack-7")
    text = operator.text(page_of(server))
    for words in (
        "10.0.0.5/24",
        "nightly",
        "3.0 GiB",
        "No valid host was found.",
        "nobody has room",
        "rack-7",
    ):
        assert words in text


def test_hosts_and_details_of_events_are_hidden_from_who_may_not_see_them(
    onlooker: Visitor, server: Server
) -> None:
    make_event(make_action(server), "cold_migrate", details="nobody has room", host="rack-7")
    text = onlooker.text(page_of(server))
    assert "cold_migrate" in text and "nobody has room" not in text and "rack-7" not in text


def test_page_of_a_foreign_server_is_missing(onlooker: Visitor) -> None:
    assert onlooker.get(page_of(make_server(make_project()))).status_code == 404


def test_page_moves_only_while_something_goes_on(operator: Visitor, server: Server) -> None:
    assert "hx-get" not in operator.get(page_of(server)).content.decode()
    make_action(server, "migrate", status="running", progress_percent=43)
    page = operator.get(page_of(server)).content.decode()
    assert f"{page_of(server).replace('change', 'live')}" in page and 'hx-trigger="every 2s"' in page
    assert 'role="progressbar"' in page and 'aria-valuenow="43"' in page


def test_moving_part_is_only_a_part(operator: Visitor, server: Server) -> None:
    live = operator.get(page_of(server).replace("change", "live")).content.decode()
    assert "<html" not in live and 'id="do-lock"' in live and "data-announce" in live


@pytest.mark.parametrize("number", [50, 500])
def test_page_costs_the_same_among_fifty_and_among_five_hundred(
    number: int, operator: Visitor, project: Project
) -> None:
    host = make_host()
    servers = [make_server(project, host=host) for _ in range(number)]
    for _ in range(3):
        make_event(make_action(servers[0]), "cold_migrate")
    with CaptureQueriesContext(connection) as queries:
        assert operator.get(page_of(servers[0])).status_code == 200
    assert len(queries) == 18, [query["sql"][:90] for query in queries.captured_queries]
