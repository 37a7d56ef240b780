"""Moves of servers, as lists and as the one that is going on (Nova contract A.4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as deployment

from servers import clock
from servers.models import Project, Server
from tests.conftest import Caller
from tests.factories import make_host, make_migration, make_server

HOSTS = ("source_compute", "dest_compute", "source_node", "dest_node", "dest_host")


@pytest.fixture
def server(project: Project) -> Server:
    return make_server(project, host=make_host("host1"), task_state="migrating")


def listed(caller: Caller, query: str = "", version: str = "2.59") -> list[dict[str, Any]]:
    response = caller.get(f"/v2.1/os-migrations?{query}", version)
    assert response.status_code == 200, response.content
    return list(response.json()["migrations"])


@pytest.mark.parametrize(
    ("version", "added"),
    [
        ("2.22", set()),
        ("2.23", {"migration_type", "links"}),
        ("2.59", {"migration_type", "links", "uuid"}),
        ("2.80", {"migration_type", "links", "uuid", "user_id", "project_id"}),
    ],
)
def test_members_by_microversion(admin: Caller, server: Server, version: str, added: set[str]) -> None:
    make_migration(server, old_flavor=1, new_flavor=2)
    base = {
        "id", "instance_uuid", "status", "created_at", "updated_at", "old_instance_type_id", "new_instance_type_id",
    }  # fmt: skip
    assert set(listed(admin, version=version)[0]) == base | set(HOSTS) | added


@pytest.mark.parametrize(
    ("fields", "linked"),
    [
        ({"status": "running"}, True),
        ({"status": "preparing"}, True),
        ({"status": "accepted"}, False),
        ({"status": "completed"}, False),
        ({"status": "post-migrating", "migration_type": "migration"}, False),
    ],
)
def test_links_lead_to_live_migrations_in_progress(
    admin: Caller, server: Server, fields: dict[str, str], linked: bool
) -> None:
    migration = make_migration(server, **fields)
    (body,) = listed(admin, version="2.23")
    assert ("links" in body) is linked
    if linked:
        end = f"servers/{server.uuid}/migrations/{migration.pk}"
        assert [link["href"] for link in body["links"]] == [
            f"{deployment.PUBLIC_URL}/v2.1/{end}",
            f"{deployment.PUBLIC_URL}/{end}",
        ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=running", 1),
        ("status=error", 0),
        ("status=running&status=error", 0),
        ("host=host1", 1),
        ("host=host2", 1),
        ("host=host3", 0),
        ("source_compute=host2", 0),
        ("source_compute=host2&host=host2", 1),
        ("migration_type=resize", 0),
        ("migration_type=live-migration", 1),
        ("instance_uuid=nosuch", 0),
        ("hidden=1", 1),
    ],
)
def test_filters(admin: Caller, server: Server, query: str, found: int) -> None:
    make_migration(server)
    make_migration(server, hidden=True)
    assert len(listed(admin, query)) == found


def test_server_is_a_filter(admin: Caller, server: Server) -> None:
    migration = make_migration(server)
    make_migration(make_server())
    assert [m["id"] for m in listed(admin, f"instance_uuid={server.uuid}")] == [migration.pk]


def test_pages_since_2_59(admin: Caller, server: Server) -> None:
    same = clock.now()
    made = [make_migration(server, created_at=same) for _ in range(3)]
    body = admin.get("/v2.1/os-migrations?limit=2", "2.59").json()
    assert [m["id"] for m in body["migrations"]] == [made[2].pk, made[1].pk]
    href = f"{deployment.PUBLIC_URL}/v2.1/os-migrations?limit=2&marker={made[1].uuid}"
    assert body["migrations_links"] == [{"rel": "next", "href": href}]
    assert [m["id"] for m in listed(admin, f"marker={made[1].uuid}")] == [made[0].pk]
    assert listed(admin, "limit=0") == []
    assert len(listed(admin, "limit=1&marker=nosuch&foo=1", "2.58")) == 3


@pytest.mark.parametrize(
    ("query", "version", "text"),
    [
        ("foo=bar", "2.59", "Additional properties are not allowed ('foo' was unexpected)"),
        (
            "limit=-1",
            "2.59",
            "Invalid input for query parameters limit. Value: -1. '-1' does not match '^[0-9]*$'",
        ),
        ("marker=nosuch", "2.59", "Marker nosuch could not be found."),
        ("changes-before=2020-01-01T00:00:00Z", "2.59", "Additional properties are not allowed"),
        ("project_id=x", "2.79", "Additional properties are not allowed"),
        (
            "changes-since=2021-01-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z",
            "2.66",
            "The value of changes-since must be less than or equal to changes-before.",
        ),
    ],
)
def test_queries_that_are_refused(admin: Caller, query: str, version: str, text: str) -> None:
    response = admin.get(f"/v2.1/os-migrations?{query}", version)
    assert response.status_code == 400
    assert response.json()["badRequest"]["message"].startswith(text)


def test_changes_in_a_period(admin: Caller, server: Server) -> None:
    old = make_migration(server, updated_at=None, created_at=clock.now() - timedelta(days=2))
    new = make_migration(server)
    day = (clock.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert [m["id"] for m in listed(admin, f"changes-since={day}")] == [new.pk]
    assert [m["id"] for m in listed(admin, f"changes-before={day}", "2.66")] == [old.pk]


@pytest.mark.parametrize("version", ["2.34", "2.59", "2.80"])
def test_manager_sees_no_other_projects_migrations(manager: Caller, version: str) -> None:
    response = manager.get("/v2.1/os-migrations", version)
    rule = "os_compute_api:os-migrations:index:all_projects"
    assert response.json()["forbidden"]["message"] == f"Policy doesn't allow {rule} to be performed."


def test_manager_sees_the_own_projects_without_hosts_since_2_80(manager: Caller, server: Server) -> None:
    migration = make_migration(server)
    make_migration(make_server())
    (body,) = listed(manager, f"project_id={manager.project.pk}", "2.80")
    assert body["id"] == migration.pk
    assert {body[name] for name in HOSTS} == {None}


def test_project_is_dropped_as_a_filter_until_2_58(manager: Caller) -> None:
    assert manager.get(f"/v2.1/os-migrations?project_id={manager.project.pk}", "2.34").status_code == 403


def test_reader_may_not_list(reader: Caller) -> None:
    rule = "os_compute_api:os-migrations:index"
    message = reader.get("/v2.1/os-migrations", "2.34").json()["forbidden"]["message"]
    assert message == f"Policy doesn't allow {rule} to be performed."


# -- the live migration of one server


def path(server: Server, number: object = "") -> str:
    return f"/v2.1/servers/{server.uuid}/migrations" + (f"/{number}" if number else "")


@pytest.mark.parametrize("status", ["queued", "preparing", "running", "post-migrating"])
def test_live_migrations_in_progress_are_listed(admin: Caller, server: Server, status: str) -> None:
    migration = make_migration(server, status=status)
    make_migration(server, migration_type="migration", status="post-migrating")
    found = admin.get(path(server), "2.23").json()["migrations"]
    assert [m["id"] for m in found] == [migration.pk]
    assert admin.get(path(server, migration.pk), "2.23").json()["migration"] == found[0]


@pytest.mark.parametrize("status", ["accepted", "completed", "error", "failed", "cancelled"])
def test_others_are_not(admin: Caller, server: Server, status: str) -> None:
    migration = make_migration(server, status=status)
    text = f"Live migration {migration.pk} for server {server.uuid} is not in progress."
    assert admin.get(path(server), "2.23").json() == {"migrations": []}
    assert admin.get(path(server, migration.pk), "2.23").json()["itemNotFound"]["message"] == text


def test_cold_migration_is_not_live(admin: Caller, server: Server) -> None:
    migration = make_migration(server, migration_type="migration", status="post-migrating")
    text = f"Migration {migration.pk} for server {server.uuid} is not live-migration."
    assert admin.get(path(server, migration.pk), "2.23").json()["itemNotFound"]["message"] == text


@pytest.mark.parametrize("number", ["4242", "abc", "9" * 30])
def test_unknown_migration_is_named_as_it_was_asked_for(admin: Caller, server: Server, number: str) -> None:
    text = f"In-progress live migration {number} is not found for server {server.uuid}."
    assert admin.get(path(server, number), "2.23").json()["itemNotFound"]["message"] == text


def test_migration_of_another_server_is_unknown(admin: Caller, server: Server) -> None:
    migration = make_migration(make_server())
    assert admin.get(path(server, migration.pk), "2.23").status_code == 404


def test_counters_are_null_until_the_first_report(admin: Caller, server: Server) -> None:
    migration = make_migration(server)
    body = admin.get(path(server, migration.pk), "2.23").json()["migration"]
    assert body["memory_total_bytes"] is None
    assert body["disk_remaining_bytes"] is None
    type(migration).objects.update(memory_total_bytes=10, memory_remaining_bytes=4)
    body = admin.get(path(server, migration.pk), "2.23").json()["migration"]
    assert (body["memory_total_bytes"], body["memory_remaining_bytes"], body["disk_total_bytes"]) == (
        10,
        4,
        0,
    )


@pytest.mark.parametrize(
    ("version", "added"),
    [("2.58", set()), ("2.59", {"uuid"}), ("2.80", {"uuid", "user_id", "project_id"})],
)
def test_members_of_a_live_migration(admin: Caller, server: Server, version: str, added: set[str]) -> None:
    migration = make_migration(server)
    counters = {f"{w}_{p}_bytes" for w in ("memory", "disk") for p in ("total", "processed", "remaining")}
    base = {"id", "server_uuid", "status", "created_at", "updated_at"}
    body = admin.get(path(server, migration.pk), version).json()["migration"]
    assert set(body) == base | counters | set(HOSTS) | added


def test_nothing_of_this_exists_before_2_23(admin: Caller, server: Server) -> None:
    for address in (path(server), path(server, make_migration(server).pk)):
        response = admin.get(address, "2.22")
        assert response.json()["itemNotFound"]["message"] == "The resource could not be found."


def test_manager_lists_without_hosts_and_shows_nothing(manager: Caller, server: Server) -> None:
    migration = make_migration(server)
    (body,) = manager.get(path(server), "2.34").json()["migrations"]
    assert {body[name] for name in HOSTS} == {None}
    assert manager.get(path(server, migration.pk), "2.34").status_code == 403


def test_unknown_keys_are_refused_since_2_102(admin: Caller, server: Server) -> None:
    assert admin.get(path(server) + "?x=1", "2.101").status_code == 200
    assert admin.get(path(server) + "?x=1", "2.102").status_code == 400
