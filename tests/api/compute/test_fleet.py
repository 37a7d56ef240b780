"""The hosts, as services, hypervisors, hosts and aggregates."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from servers.audit import reading
from servers.models import Aggregate, Host, Project
from tests.conftest import Caller
from tests.factories import make_allocation, make_host, make_server


@pytest.fixture
def host(db: None) -> Host:
    return make_host("cmp-1", hypervisor_hostname="node-1", cpu_model="Nehalem", reserved_memory_mb=512)


# -- os-services


def test_services_by_microversion(admin: Caller, host: Host) -> None:
    old, newer, newest = (
        admin.get("/v2.1/os-services", v).json()["services"][0] for v in ("2.10", "2.11", "2.53")
    )
    assert set(old) == {
        "id", "binary", "host", "zone", "status", "state", "updated_at", "disabled_reason",
    }  # fmt: skip
    assert set(newer) - set(old) == {"forced_down"}
    assert (old["id"], newest["id"]) == (host.pk, str(host.service_uuid))
    assert (old["binary"], old["status"], old["state"]) == ("nova-compute", "enabled", "up")


@pytest.mark.parametrize(
    ("query", "found"),
    [("", 2), ("host=cmp-1", 1), ("binary=nova-compute", 2), ("binary=nova-scheduler", 0), ("host=x", 0)],
)
def test_services_are_filtered(admin: Caller, host: Host, query: str, found: int) -> None:
    make_host()
    assert len(admin.get(f"/v2.1/os-services?{query}").json()["services"]) == found


@pytest.mark.parametrize(
    ("order", "more", "answer", "fields"),
    [
        ("disable", {}, {"status": "disabled"}, {"enabled": False}),
        ("enable", {}, {"status": "enabled"}, {"enabled": True}),
        (
            "disable-log-reason",
            {"disabled_reason": "why"},
            {"status": "disabled", "disabled_reason": "why"},
            {"enabled": False, "disabled_reason": "why"},
        ),
        ("force-down", {"forced_down": "true"}, {"forced_down": True}, {"forced_down": True}),
    ],
)
def test_orders_until_2_52(
    admin: Caller,
    host: Host,
    order: str,
    more: dict[str, Any],
    answer: dict[str, Any],
    fields: dict[str, Any],
) -> None:
    named = {"host": "cmp-1", "binary": "nova-compute"}
    response = admin.put(f"/v2.1/os-services/{order}", {**named, **more}, "2.11")
    assert response.json() == {"service": {**named, **answer}}
    host.refresh_from_db()
    assert {name: getattr(host, name) for name in fields} == fields


def test_history_names_who_has_changed_a_service(admin: Caller, host: Host) -> None:
    admin.put("/v2.1/os-services/disable", {"host": "cmp-1", "binary": "nova-compute"}, "2.11")
    record = reading.page(reading.of(host), 1).records[0]
    assert (record.after["enabled"], record.door, record.who) == (False, "rest", admin.user.name)


@pytest.mark.parametrize(
    ("order", "body", "version", "status"),
    [
        ("nosuch", {"host": "cmp-1", "binary": "nova-compute"}, "2.11", 404),
        ("force-down", {"host": "cmp-1", "binary": "nova-compute"}, "2.11", 400),
        ("force-down", {"host": "cmp-1", "binary": "nova-compute", "forced_down": True}, "2.10", 400),
        ("disable-log-reason", {"host": "cmp-1", "binary": "nova-compute"}, "2.1", 400),
        ("enable", {"host": "nosuch", "binary": "nova-compute"}, "2.1", 404),
        ("enable", {"host": "cmp-1", "binary": "nova-scheduler"}, "2.1", 404),
        ("enable", {"host": "cmp-1"}, "2.1", 400),
        ("enable", [], "2.1", 400),
        ("enable", {"status": "enabled"}, "2.53", 400),
    ],
)
def test_orders_that_are_refused(
    admin: Caller, host: Host, order: str, body: Any, version: str, status: int
) -> None:
    assert admin.put(f"/v2.1/os-services/{order}", body, version).status_code == status


def test_service_is_changed_by_its_uuid_since_2_53(admin: Caller, host: Host) -> None:
    path = f"/v2.1/os-services/{host.service_uuid}"
    body = {"status": "disabled", "disabled_reason": "why", "forced_down": True}
    service = admin.put(path, body, "2.53").json()["service"]
    assert (service["status"], service["disabled_reason"]) == ("disabled", "why")
    assert (service["forced_down"], service["state"]) == (True, "down")
    assert admin.put(path, {"status": "enabled"}, "2.53").json()["service"]["disabled_reason"] is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "No updates were requested. Fields 'status' or 'forced_down' should be specified."),
        ({"disabled_reason": "x"}, "No updates were requested."),
        (
            {"status": "enabled", "disabled_reason": "x"},
            "Specifying 'disabled_reason' when status is 'enabled'",
        ),
        ({"status": "up"}, "Invalid input for field/attribute status. Value: up."),
        ({"foo": 1}, "Additional properties are not allowed ('foo' was unexpected)"),
    ],
)
def test_changes_that_are_refused(admin: Caller, host: Host, body: Any, text: str) -> None:
    response = admin.put(f"/v2.1/os-services/{host.service_uuid}", body, "2.53")
    assert response.json()["badRequest"]["message"].startswith(text)


def test_unknown_service_is_missing(admin: Caller) -> None:
    assert admin.put(f"/v2.1/os-services/{uuid4()}", {"status": "enabled"}, "2.53").status_code == 404


# -- os-hypervisors


def test_hypervisor_is_named_by_number_then_by_uuid(admin: Caller, host: Host) -> None:
    old = admin.get("/v2.1/os-hypervisors", "2.52").json()["hypervisors"]
    new = admin.get("/v2.1/os-hypervisors", "2.53").json()["hypervisors"]
    assert old == [{"id": host.pk, "hypervisor_hostname": "node-1", "state": "up", "status": "enabled"}]
    assert new[0]["id"] == str(host.uuid)
    assert admin.get(f"/v2.1/os-hypervisors/{host.pk}", "2.52").status_code == 200
    assert admin.get(f"/v2.1/os-hypervisors/{host.uuid}", "2.53").status_code == 200


def test_capacity_until_2_87(admin: Caller, host: Host, project: Project) -> None:
    server = make_server(project, host=host, task_state="migrating", vcpus=2, memory_mb=1024, root_gb=5)
    make_allocation(server)
    (body,) = admin.get("/v2.1/os-hypervisors/detail", "2.87").json()["hypervisors"]
    assert (body["vcpus"], body["vcpus_used"], body["memory_mb"], body["memory_mb_used"]) == (
        10,
        2,
        8192,
        1536,
    )
    assert (body["local_gb"], body["local_gb_used"], body["free_disk_gb"]) == (1028, 5, 1023)
    assert (body["running_vms"], body["current_workload"], body["free_ram_mb"]) == (1, 1, 6656)
    total = admin.get("/v2.1/os-hypervisors/statistics", "2.87").json()["hypervisor_statistics"]
    assert (total["count"], total["vcpus_used"], total["free_ram_mb"]) == (1, 2, 6656)


def test_capacity_is_gone_since_2_88(admin: Caller, host: Host) -> None:
    (body,) = admin.get("/v2.1/os-hypervisors/detail", "2.88").json()["hypervisors"]
    assert set(body) == {
        "id", "hypervisor_hostname", "state", "status", "host_ip", "hypervisor_type", "hypervisor_version",
        "service", "uptime",
    }  # fmt: skip
    assert body["service"] == {"id": str(host.service_uuid), "host": "cmp-1", "disabled_reason": None}
    assert admin.get("/v2.1/os-hypervisors/statistics", "2.88").status_code == 404


def test_cpu_info_is_the_text_of_an_object_and_an_object_since_2_28(admin: Caller, host: Host) -> None:
    old, new = (
        admin.get(f"/v2.1/os-hypervisors/{host.pk}", v).json()["hypervisor"] for v in ("2.27", "2.28")
    )
    assert (json.loads(old["cpu_info"]), new["cpu_info"]) == ({"model": "Nehalem"}, {"model": "Nehalem"})


@pytest.mark.parametrize(
    ("hypervisor", "version", "status"),
    [
        ("node-1", "2.52", 404),
        ("node-1", "2.53", 400),
        ("6f9619ff-8b86-4011-b42d-00c04fc964ff", "2.53", 404),
        ("9" * 30, "2.52", 404),
    ],
)
def test_unknown_hypervisors(admin: Caller, host: Host, hypervisor: str, version: str, status: int) -> None:
    assert admin.get(f"/v2.1/os-hypervisors/{hypervisor}", version).status_code == status


def test_how_long_a_hypervisor_has_been_up_is_not_known(admin: Caller, host: Host) -> None:
    path = "/v2.1/os-hypervisors/{}/uptime"
    answers = [admin.get(path.format(host.pk), "2.52"), admin.get(path.format(host.uuid), "2.87")]
    fault = {"code": 501, "message": "The requested functionality is not supported."}
    assert [(a.status_code, a.json()) for a in answers] == [(501, {"notImplemented": fault})] * 2
    assert admin.get(path.format("9"), "2.52").status_code == 404
    assert admin.get(path.format(host.uuid), "2.88").status_code == 404


def test_servers_of_a_hypervisor(admin: Caller, host: Host, project: Project) -> None:
    server = make_server(project, host=host)
    entry = {"name": server.instance_name, "uuid": str(server.uuid)}
    old = admin.get("/v2.1/os-hypervisors/node/servers", "2.52").json()["hypervisors"]
    new = admin.get("/v2.1/os-hypervisors?with_servers=true", "2.53").json()["hypervisors"]
    one = admin.get(f"/v2.1/os-hypervisors/{host.uuid}?with_servers=1", "2.53").json()["hypervisor"]
    assert old[0]["servers"] == new[0]["servers"] == one["servers"] == [entry]
    assert admin.get("/v2.1/os-hypervisors/node/servers", "2.53").status_code == 404


def test_servers_are_there_even_if_none_since_2_75(admin: Caller, host: Host) -> None:
    old, new = (
        admin.get("/v2.1/os-hypervisors?with_servers=true", v).json()["hypervisors"][0]
        for v in ("2.74", "2.75")
    )
    assert "servers" not in old
    assert new["servers"] == []


def test_hypervisors_are_found_by_a_part_of_their_name(admin: Caller, host: Host) -> None:
    assert len(admin.get("/v2.1/os-hypervisors/ode/search", "2.52").json()["hypervisors"]) == 1
    path = "/v2.1/os-hypervisors?hypervisor_hostname_pattern"
    assert len(admin.get(f"{path}=ode", "2.53").json()["hypervisors"]) == 1
    missing = admin.get(f"{path}=xyz", "2.53").json()["itemNotFound"]["message"]
    assert missing == "No hypervisor matching 'xyz' could be found."
    assert admin.get(f"{path}=ode&limit=1", "2.53").status_code == 400


def test_hypervisors_in_pages(admin: Caller) -> None:
    hosts = [make_host() for _ in range(3)]
    body = admin.get("/v2.1/os-hypervisors?limit=2", "2.53").json()
    assert body["hypervisors_links"][0]["href"].endswith(f"?limit=2&marker={hosts[1].uuid}")
    rest = admin.get(f"/v2.1/os-hypervisors/detail?marker={hosts[1].uuid}", "2.53").json()["hypervisors"]
    assert [h["hypervisor_hostname"] for h in rest] == [hosts[2].name]
    assert admin.get("/v2.1/os-hypervisors?marker=x", "2.53").status_code == 400


# -- os-availability-zone


def test_a_zone_is_available_while_a_host_of_it_is_enabled(manager: Caller, host: Host) -> None:
    make_host("cmp-2", enabled=False)
    make_host("cmp-3", enabled=False, availability_zone="attic")
    assert manager.get("/v2.1/os-availability-zone").json() == {
        "availabilityZoneInfo": [
            {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None},
            {"zoneName": "attic", "zoneState": {"available": False}, "hosts": None},
        ]
    }


def test_zones_with_their_enabled_hosts(admin: Caller, host: Host) -> None:
    make_host("cmp-2", forced_down=True)
    make_host("cmp-3", enabled=False, availability_zone="attic")
    nova, attic = admin.get("/v2.1/os-availability-zone/detail").json()["availabilityZoneInfo"]
    services = {name: services["nova-compute"] for name, services in nova["hosts"].items()}
    assert {n: (s["active"], s["available"]) for n, s in services.items()} == {
        "cmp-1": (True, True),
        "cmp-2": (True, False),
    }
    assert set(services["cmp-1"]) == {"active", "available", "updated_at"}
    assert attic["hosts"] is None


# -- os-hosts and os-aggregates


def test_hosts_until_2_42(admin: Caller, host: Host) -> None:
    entry = {"host_name": "cmp-1", "service": "compute", "zone": "nova"}
    assert admin.get("/v2.1/os-hosts", "2.42").json() == {"hosts": [entry]}
    assert admin.get("/v2.1/os-hosts?zone=x", "2.42").json() == {"hosts": []}
    assert admin.get("/v2.1/os-hosts", "2.43").status_code == 404


def test_host_shows_who_uses_how_much(admin: Caller, host: Host, project: Project) -> None:
    make_allocation(make_server(project, host=host, vcpus=2, memory_mb=1024, root_gb=5, ephemeral_gb=1))
    lines = [line["resource"] for line in admin.get("/v2.1/os-hosts/cmp-1").json()["host"]]
    assert [(x["project"], x["cpu"], x["memory_mb"], x["disk_gb"]) for x in lines] == [
        ("(total)", 10, 8192, 1028),
        ("(used_now)", 2, 1536, 5),
        ("(used_max)", 2, 1024, 6),
        (project.pk, 2, 1024, 6),
    ]
    assert admin.get("/v2.1/os-hosts/nosuch").status_code == 404


def test_aggregates(admin: Caller, host: Host) -> None:
    aggregate = Aggregate.objects.create(name="a", availability_zone="z", metadata={"k": "v"})
    aggregate.hosts.add(host)
    (old,) = admin.get("/v2.1/os-aggregates", "2.40").json()["aggregates"]
    new = admin.get(f"/v2.1/os-aggregates/{aggregate.pk}", "2.41").json()["aggregate"]
    assert (old["hosts"], old["metadata"]) == (["cmp-1"], {"k": "v", "availability_zone": "z"})
    assert set(new) - set(old) == {"uuid"}
    assert admin.get("/v2.1/os-aggregates/x").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "os-services", "os-hypervisors", "os-hypervisors/detail", "os-hypervisors/1", "os-hypervisors/statistics",
        "os-hypervisors/1/uptime", "os-hypervisors/x/search", "os-availability-zone/detail", "os-hosts", "os-hosts/x", "os-aggregates", "os-aggregates/1",
    ],
)  # fmt: skip
def test_the_fleet_is_the_admins(manager: Caller, path: str) -> None:
    assert manager.get(f"/v2.1/{path}", "2.1").status_code == 403


def test_services_are_changed_by_admins_alone(manager: Caller, host: Host) -> None:
    response = manager.put(f"/v2.1/os-services/{host.service_uuid}", {"forced_down": True}, "2.53")
    assert response.status_code == 403
    host.refresh_from_db()
    assert not host.forced_down
