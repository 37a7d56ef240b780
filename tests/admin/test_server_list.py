"""The list of servers: who sees what, how it is searched, and what it costs."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers import clock
from servers.models import Project
from tests.admin.visiting import Visitor
from tests.factories import make_host, make_interface, make_project, make_server

LIST = "/admin/servers/server/"


def test_operator_sees_the_servers_of_all_projects(operator: Visitor, project: Project) -> None:
    make_server(project, name="mine")
    make_server(make_project(), name="foreign")
    text = operator.text(LIST)
    assert "mine" in text and "foreign" in text


@pytest.mark.parametrize("role", ["manager", "member", "reader"])
def test_everybody_else_sees_those_of_the_own_project(role: str, project: Project) -> None:
    make_server(project, name="mine")
    make_server(make_project(), name="foreign")
    text = Visitor(project, role).text(LIST)
    assert "mine" in text and "foreign" not in text


def test_somebody_in_no_project_sees_no_list(project: Project) -> None:
    make_server(project)
    assert Visitor(None, "reader").get(LIST).status_code in {200, 403}
    assert "server-" not in Visitor(None, "reader").text(LIST)


def test_deleted_servers_are_not_listed(operator: Visitor, project: Project) -> None:
    make_server(project, name="gone", deleted_at=clock.now())
    assert "gone" not in operator.text(LIST)


@pytest.mark.parametrize("word", ["needle", "10.9.8.7", "rack-9", "haystack"])
def test_server_is_found_by_name_address_host_and_project(
    word: str, operator: Visitor, project: Project
) -> None:
    make_server(project, name="other")
    found = make_server(make_project(name="haystack"), name="needle", host=make_host("rack-9"))
    make_interface(found, "10.9.8.7/24")
    text = operator.text(f"{LIST}?q={word}")
    assert "1 server" in text and "other" not in text


def test_server_is_found_by_its_uuid(operator: Visitor, project: Project) -> None:
    server, _ = make_server(project, name="this"), make_server(project, name="that")
    assert "1 server" in operator.text(f"{LIST}?q={server.pk}")


def test_hosts_are_shown_to_operators_alone(project: Project, operator: Visitor, onlooker: Visitor) -> None:
    make_server(project, host=make_host("secret-rack"))
    assert "secret-rack" in operator.text(LIST)
    assert "secret-rack" not in onlooker.text(LIST)
    assert "0 servers" in onlooker.text(f"{LIST}?q=secret-rack")


def test_state_is_a_word_with_an_icon(operator: Visitor, project: Project) -> None:
    make_server(project, task_state="image_backup", locked_by="admin")
    page = operator.get(LIST).content.decode()
    for word in ("ACTIVE", "image_backup", "locked by admin", "running"):
        assert f"</span>{word}</span>" in page


@pytest.mark.parametrize(
    ("query", "seen"), [("busy=yes", "moving"), ("busy=no", "calm"), ("vm_state=error", "broken")]
)
def test_filters_stand_in_the_address(query: str, seen: str, operator: Visitor, project: Project) -> None:
    make_server(project, name="moving", task_state="migrating")
    make_server(project, name="calm")
    make_server(project, name="broken", vm_state="error", task_state="deleting")
    text = operator.text(f"{LIST}?{query}")
    assert seen in text
    assert sum(name in text for name in ("moving", "calm", "broken")) == (2 if query == "busy=yes" else 1)


@pytest.mark.parametrize("number", [50, 500])
def test_list_costs_the_same_with_fifty_and_with_five_hundred(
    number: int, operator: Visitor, project: Project
) -> None:
    host = make_host()
    for _ in range(number):
        make_interface(make_server(project, host=host), "10.0.0.1/24")
    with CaptureQueriesContext(connection) as queries:
        assert operator.get(LIST).status_code == 200
    assert len(queries) == 11, [query["sql"][:90] for query in queries.captured_queries]
