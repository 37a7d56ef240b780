"""Which servers a list shows (Nova's filters), and in what order."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from servers import clock
from servers.models import Project
from tests.conftest import Caller
from tests.factories import make_flavor, make_host, make_interface, make_project, make_server


def names(caller: Caller, query: str = "", version: str | None = None, detail: str = "") -> list[str]:
    response = caller.get(f"/v2.1/servers{detail}?{query}", version)
    assert response.status_code == 200, response.content
    return [server["name"] for server in response.json()["servers"]]


def refusal(caller: Caller, query: str, version: str | None = None) -> tuple[int, str]:
    response = caller.get(f"/v2.1/servers?{query}", version)
    (fault,) = response.json().values()
    return response.status_code, fault["message"]


def three(project: Project) -> None:
    for number, name in enumerate(("one", "two", "three"), start=1):
        make_server(project, name=name, created_at=clock.now() + timedelta(seconds=number))


def test_newest_comes_first(member: Caller, project: Project) -> None:
    three(project)
    assert names(member) == names(member, detail="/detail") == ["three", "two", "one"]


def test_list_is_the_projects_own_even_for_an_admin(admin: Caller, project: Project) -> None:
    make_server(project, name="mine")
    make_server(name="theirs")
    assert names(admin) == ["mine"]
    assert set(names(admin, "all_tenants=1")) == set(names(admin, "all_tenants")) == {"mine", "theirs"}
    assert names(admin, "all_tenants=False") == ["mine"]


def test_all_tenants_is_the_admins(member: Caller) -> None:
    rule = "os_compute_api:servers:index:get_all_tenants"
    assert refusal(member, "all_tenants=1") == (403, f"Policy doesn't allow {rule} to be performed.")


def test_all_tenants_is_a_boolean(admin: Caller) -> None:
    assert refusal(admin, "all_tenants=maybe")[0] == 400


def test_project_counts_with_all_tenants_alone(admin: Caller, project: Project) -> None:
    other = make_project()
    make_server(project, name="mine")
    make_server(other, name="theirs")
    for key in ("project_id", "tenant_id"):
        assert names(admin, f"all_tenants=1&{key}={other.pk}") == ["theirs"]
        assert names(admin, f"{key}={other.pk}") == ["mine"]


FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("host=h9", {}),
    ("node=n9", {}),
    ("vm_state=paused", {"vm_state": "paused"}),
    ("task_state=deleting", {"task_state": "deleting"}),
    ("power_state=4", {"power_state": 4}),
    ("image=i9", {"image_ref": "i9"}),
    ("flavor=f9", {}),
    ("reservation_id=r-9", {"reservation_id": "r-9"}),
    ("key_name=k9", {"key_name": "k9"}),
    ("user_id=u9", {"user_id": "u9"}),
    ("hostname=hn9", {"hostname": "hn9"}),
    ("availability_zone=z9", {"availability_zone": "z9"}),
    ("description=d9", {"description": "d9"}),
    ("name=wanted", {}),
    ("display_name=WANTED", {}),
    ("name=^wan.*d$", {}),
    ("name=^(wanted|missing)$", {}),
    ("name=^[v-x][a-z]{4,5}$", {}),
    ("name=^w%5Cw%2Bd$", {}),
    ("locked=true", {"locked_by": "owner"}),
    ("status=PAUSED", {"vm_state": "paused"}),
    ("status=paused", {"vm_state": "paused"}),
    ("tags=a,b", {"tags": ["a", "b"]}),
    ("tags-any=b,c", {"tags": ["b"]}),
    ("ip=10.9.0", {}),
    ("ip=^10\\.9\\.0\\.", {}),
    (
        "launched_at=2020-01-01T00:00:00Z",
        {"launched_at": clock.Clock().now().replace(2020, 1, 1, 0, 0, 0, 5)},
    ),
]


@pytest.mark.parametrize(("query", "fields"), FIELDS, ids=[query for query, _ in FIELDS])
def test_filter_finds_what_it_names(
    admin: Caller, project: Project, query: str, fields: dict[str, Any]
) -> None:
    host = make_host("h9", hypervisor_hostname="n9")
    wanted = make_server(project, name="wanted", host=host, flavor=make_flavor(flavorid="f9"), **fields)
    make_interface(wanted, "10.9.0.1/24")
    make_interface(make_server(project, name="other"), "10.1.0.1/24")
    assert names(admin, query, "2.90") == ["wanted"]


@pytest.mark.parametrize(
    "query",
    [
        "power_state=x",
        "uuid=x",
        "status=nosuch",
        "launched_at=x",
        "config_drive=True",
        "kernel_id=x",
        "flavor=x",
    ],
)
def test_filter_that_nothing_fits_finds_nothing(admin: Caller, project: Project, query: str) -> None:
    make_server(project)
    assert names(admin, query, "2.37") == []


@pytest.mark.parametrize(("query", "left"), [("not-tags=a,b", "one"), ("not-tags-any=b", "one")])
def test_tags_can_be_what_is_not_wanted(member: Caller, project: Project, query: str, left: str) -> None:
    make_server(project, name="one", tags=["a"])
    make_server(project, name="two", tags=["a", "b"])
    assert names(member, query, "2.26") == [left]


def test_filters_of_admins_are_ignored_for_others(member: Caller, project: Project) -> None:
    make_server(project, name="mine")
    assert names(member, "host=nosuch&vm_state=error&node=x") == ["mine"]
    assert names(member, "vm_state=error", "2.83") == []


def test_status_shows_what_has_it(member: Caller, project: Project) -> None:
    make_server(project, name="idle")
    make_server(project, name="moving", task_state="migrating")
    make_server(project, name="moving, paused", vm_state="paused", task_state="migrating")
    assert names(member, "status=ACTIVE") == ["idle"]
    assert set(names(member, "status=MIGRATING")) == {"moving", "moving, paused"}
    assert len(names(member, "status=ACTIVE&status=MIGRATING")) == 3


def test_unknown_status_is_refused_since_2_38(member: Caller) -> None:
    assert names(member, "status=nosuch", "2.37") == []
    assert refusal(member, "status=nosuch", "2.38") == (400, "Invalid status value")


def test_deleted_servers_are_the_admins(admin: Caller, member: Caller, project: Project) -> None:
    make_server(project, name="here")
    make_server(project, name="gone", vm_state="deleted", deleted_at=clock.now())
    assert names(admin) == names(admin, "deleted=False") == names(member, "deleted=True") == ["here"]
    assert names(admin, "deleted=True") == names(admin, "status=deleted") == ["gone"]
    assert refusal(member, "status=deleted")[0] == 403


def test_changes_show_deleted_servers_too(member: Caller, project: Project) -> None:
    now = clock.now()
    make_server(project, name="old", created_at=now - timedelta(days=2))
    make_server(project, name="gone", created_at=now - timedelta(days=2), updated_at=now, deleted_at=now)
    yesterday = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert names(member, f"changes-since={yesterday}") == ["gone"]
    assert names(member, f"changes-before={yesterday}", "2.66") == ["old"]


def test_period_must_not_end_before_it_begins(member: Caller) -> None:
    query = "changes-since=2021-01-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z"
    text = "The value of changes-since must be less than or equal to changes-before."
    assert refusal(member, query, "2.66") == (400, text)


@pytest.mark.parametrize("value", ["abc", "", "0001-01-01T00:00:00%2B14:00", "2020-13-01"])
def test_time_that_is_none_is_refused(member: Caller, value: str) -> None:
    status, text = refusal(member, f"changes-since={value}")
    assert status == 400
    assert text.startswith("Invalid input for query parameters changes-since. Value: ")


def test_unknown_keys_are_refused_since_2_75(member: Caller) -> None:
    assert names(member, "foo=1", "2.74") == []
    text = "Additional properties are not allowed ('foo' was unexpected)"
    assert refusal(member, "foo=1", "2.75") == (400, text)


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=x", "limit=", "sort_key=nosuch", "sort_dir=up", "name=a%00b"]
)
def test_values_that_are_refused(member: Caller, query: str) -> None:
    assert refusal(member, query)[0] == 400


def test_sort_keys_and_directions(admin: Caller, project: Project) -> None:
    for name, launched in (("b", None), ("a", None), ("c", clock.now())):
        make_server(project, name=name, launched_at=launched)
    assert names(admin, "sort_key=display_name&sort_dir=asc") == ["a", "b", "c"]
    assert names(admin, "sort_key=display_name") == ["c", "b", "a"]
    by_both = "sort_key=launched_at&sort_dir=desc&sort_key=display_name&sort_dir=asc"
    assert names(admin, by_both) == ["c", "a", "b"]


def test_ignored_sort_keys_are_refused_since_2_75(member: Caller) -> None:
    assert names(member, "sort_key=memory_mb", "2.74") == []
    assert refusal(member, "sort_key=memory_mb", "2.75")[0] == 400


@pytest.mark.parametrize(
    "order", ["", "sort_key=display_name&sort_dir=asc", "sort_key=launched_at&sort_dir=asc", "sort_key=host"]
)
def test_pages_show_everything_once(admin: Caller, project: Project, order: str) -> None:
    same = clock.now()
    for number in range(7):
        launched = None if number % 3 == 0 else same + timedelta(seconds=number % 2)
        host = None if number == 5 else make_host()
        make_server(project, name=f"s{number}", created_at=same, launched_at=launched, host=host)
    whole, seen, query = names(admin, order), [], f"{order}&limit=2"
    while query and len(seen) < 20:
        body = admin.get(f"/v2.1/servers?{query}").json()
        seen += [server["name"] for server in body["servers"]]
        links = body.get("servers_links")
        query = urlsplit(links[0]["href"]).query if links else ""
    assert seen == whole
    assert len(set(seen)) == 7


def test_next_link_keeps_the_query_in_order(member: Caller, project: Project) -> None:
    three(project)
    path = f"/v2.1/{project.pk}/servers/detail"
    body = member.get(f"{path}?status=ACTIVE&limit=1").json()
    address = urlsplit(body["servers_links"][0]["href"])
    assert address.path == path
    marker = body["servers"][0]["id"]
    assert parse_qs(address.query) == {"limit": ["1"], "marker": [marker], "status": ["ACTIVE"]}
    assert address.query.startswith("limit=1&marker=")


def test_limit_of_nothing_and_limit_of_too_much(member: Caller, project: Project) -> None:
    three(project)
    assert names(member, "limit=0") == []
    assert len(names(member, "limit=" + "9" * 5000)) == 3
    assert "servers_links" not in member.get("/v2.1/servers?limit=4").json()


@pytest.mark.parametrize("marker", ["nosuch", "11111111-2222-4333-8444-555555555555", ""])
def test_unknown_marker_is_refused(member: Caller, marker: str) -> None:
    assert refusal(member, f"marker={marker}") == (400, f"marker [{marker}] not found")


def test_foreign_marker_is_unknown(member: Caller) -> None:
    server = make_server()
    assert refusal(member, f"marker={server.uuid}")[0] == 400


@pytest.mark.parametrize(
    "text", ["a**", "*", "^*", "[a", "a{1001}", "(?i)a", "\\", "a" * 256, "(a)\\1", "(?=a)"]
)
def test_patterns_that_are_only_looked_for_as_text(member: Caller, project: Project, text: str) -> None:
    make_server(project, name=f"x{text[:200]}x")
    make_server(project, name="a")
    response = member.client.get("/v2.1/servers", {"name": text}, headers={"X-Auth-Token": member.secret})
    assert response.status_code == 200
    found = [server["name"] for server in response.json()["servers"]]
    assert found == ([f"x{text}x"] if len(text) < 255 else [])


@pytest.mark.parametrize(
    "text",
    [
        "^(?:[\\w.-]|[\\w.-]|[\\w.-]|[\\w.-]|[\\w.-]|[\\w.-])*!",
        "(a+)+$",
        "(a|a)*!",
        "a*a*a*a*a*a*a*!",
        "(a{1,30}){1,30}!",
    ],
)
def test_no_pattern_keeps_the_process_busy(member: Caller, project: Project, text: str) -> None:
    for number in range(20):
        make_server(project, name=f"{'a' * 250}{number}")
    began = time.monotonic()
    response = member.client.get("/v2.1/servers", {"name": text}, headers={"X-Auth-Token": member.secret})
    assert response.status_code == 200
    assert time.monotonic() - began < 1
