"""How a server looks, at which microversion, and to whom."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.conf import settings as deployment

from servers import clock
from servers.models import Project, Server, ServerGroup
from tests.conftest import Caller
from tests.factories import make_flavor, make_host, make_interface, make_server

ADMIN_ONLY_AT_2_1 = {
    "OS-EXT-SRV-ATTR:host",
    "OS-EXT-SRV-ATTR:hypervisor_hostname",
    "OS-EXT-SRV-ATTR:instance_name",
}
ADMIN_ONLY_SINCE_2_3 = {
    f"OS-EXT-SRV-ATTR:{name}"
    for name in (
        "hostname reservation_id launch_index kernel_id ramdisk_id root_device_name user_data".split()  # noqa: SIM905
    )
}


def show(caller: Caller, server: Server, version: str) -> dict[str, Any]:
    response = caller.get(f"/v2.1/servers/{server.uuid}", version)
    assert response.status_code == 200, response.content
    return dict(response.json()["server"])


@pytest.fixture
def server(project: Project) -> Server:
    found = make_server(project, name="web", number=10, tags=["a"], description="d", image_ref="image-1")
    make_interface(found, "10.0.0.5/24", "fd00::5/64", mac="fa:16:3e:00:00:02")
    return found


def test_members_of_the_oldest_microversion(member: Caller, server: Server) -> None:
    assert set(show(member, server, "2.1")) == {
        "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created",
        "updated", "addresses", "accessIPv4", "accessIPv6", "links", "key_name", "config_drive", "security_groups",
        "progress", "OS-DCF:diskConfig", "OS-EXT-AZ:availability_zone", "OS-EXT-STS:vm_state",
        "OS-EXT-STS:task_state", "OS-EXT-STS:power_state", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at",
        "os-extended-volumes:volumes_attached",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("since", "before", "name"),
    [
        ("2.9", "2.8", "locked"),
        ("2.19", "2.18", "description"),
        ("2.26", "2.25", "tags"),
        ("2.63", "2.62", "trusted_image_certificates"),
        ("2.71", "2.70", "server_groups"),
        ("2.73", "2.72", "locked_reason"),
        ("2.90", "2.89", "OS-EXT-SRV-ATTR:hostname"),
        ("2.96", "2.95", "pinned_availability_zone"),
        ("2.100", "2.99", "scheduler_hints"),
    ],
)
def test_member_comes_with_its_microversion(
    member: Caller, server: Server, since: str, before: str, name: str
) -> None:
    assert name not in show(member, server, before)
    assert set(show(member, server, since)) == set(show(member, server, before)) | {name}


def test_hosts_are_shown_to_admins_alone(admin: Caller, member: Caller, server: Server) -> None:
    for version, names in (("2.2", ADMIN_ONLY_AT_2_1), ("2.3", ADMIN_ONLY_AT_2_1 | ADMIN_ONLY_SINCE_2_3)):
        assert set(show(admin, server, version)) - set(show(member, server, version)) == names


def test_host_digest_tells_hosts_apart_without_naming_them(member: Caller, server: Server) -> None:
    assert server.host is not None
    digest = hashlib.sha224(f"{server.project_id}{server.host.name}".encode()).hexdigest()
    assert show(member, server, "2.1")["hostId"] == digest


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "UP"),
        ({"heartbeat_at": None}, "UNKNOWN"),
        ({"forced_down": True}, "DOWN"),
        ({"enabled": False}, "MAINTENANCE"),
        ({"maintenance": True}, "MAINTENANCE"),
    ],
)
def test_host_status_since_2_16(admin: Caller, project: Project, fields: dict[str, Any], word: str) -> None:
    server = make_server(project, host=make_host(**fields))
    assert "host_status" not in show(admin, server, "2.15")
    assert show(admin, server, "2.16")["host_status"] == word


def test_host_status_is_the_admins(member: Caller, server: Server) -> None:
    assert "host_status" not in show(member, server, "2.104")


def test_server_without_a_host(admin: Caller, project: Project) -> None:
    body = show(admin, make_server(project, host=None), "2.104")
    assert body["OS-EXT-SRV-ATTR:host"] is None
    assert (body["hostId"], body["host_status"]) == ("", "")


def test_addresses_by_network(member: Caller, server: Server) -> None:
    common = {"OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:02"}
    assert show(member, server, "2.1")["addresses"] == {
        "private": [{"version": 4, "addr": "10.0.0.5", **common}, {"version": 6, "addr": "fd00::5", **common}]
    }


def test_links_are_like_the_requests_address(member: Caller, server: Server) -> None:
    project = server.project_id
    own = member.get(f"/v2.1/{project}/servers/{server.uuid}").json()["server"]["links"]
    assert own == [
        {"rel": "self", "href": f"{deployment.PUBLIC_URL}/v2.1/{project}/servers/{server.uuid}"},
        {"rel": "bookmark", "href": f"{deployment.PUBLIC_URL}/{project}/servers/{server.uuid}"},
    ]
    assert (
        show(member, server, "2.1")["links"][0]["href"]
        == f"{deployment.PUBLIC_URL}/v2.1/servers/{server.uuid}"
    )


def test_flavor_is_a_link_until_2_46(member: Caller, project: Project) -> None:
    flavor = make_flavor(flavorid="f/1")
    server = make_server(project, flavor=flavor)
    link = {"rel": "bookmark", "href": f"{deployment.PUBLIC_URL}/flavors/f%2F1"}
    assert show(member, server, "2.46")["flavor"] == {"id": "f/1", "links": [link]}


def test_flavor_is_the_servers_own_copy_since_2_47(member: Caller, project: Project) -> None:
    server = make_server(project, flavor_name="m1", vcpus=2, memory_mb=64, root_gb=3, extra_specs={"a": "b"})
    assert show(member, server, "2.47")["flavor"] == {
        "original_name": "m1", "vcpus": 2, "ram": 64, "disk": 3, "ephemeral": 0, "swap": 0, "extra_specs": {"a": "b"},
    }  # fmt: skip


def test_image_has_its_properties_since_2_98(member: Caller, server: Server) -> None:
    Server.objects.update(image_properties={"os": "x"})
    link = {"rel": "bookmark", "href": f"{deployment.PUBLIC_URL}/images/image-1"}
    assert show(member, server, "2.97")["image"] == {"id": "image-1", "links": [link]}
    assert show(member, server, "2.98")["image"]["properties"] == {"os": "x"}


def test_volume_backed_server_has_no_image(member: Caller, project: Project) -> None:
    assert show(member, make_server(project, image_ref="x", volume_backed=True), "2.98")["image"] == ""


def test_group_is_named(member: Caller, project: Project) -> None:
    group = ServerGroup.objects.create(name="g", project_id=project.pk, user_id="u", policy="affinity")
    body = show(member, make_server(project, group=group), "2.104")
    assert body["server_groups"] == [str(group.uuid)]
    assert body["scheduler_hints"] == {"group": [str(group.uuid)]}


def test_lock_and_its_reason(member: Caller, project: Project) -> None:
    body = show(member, make_server(project, locked_by="admin", locked_reason="why"), "2.73")
    assert (body["locked"], body["locked_reason"]) == (True, "why")


@pytest.mark.parametrize(
    ("vm_state", "task_state", "progress", "fault"),
    [
        ("active", "", True, False),
        ("active", "migrating", True, False),
        ("stopped", "", False, False),
        ("error", "", False, True),
        ("deleted", "", False, True),
    ],
)
def test_progress_and_fault_come_with_some_statuses(
    member: Caller, project: Project, vm_state: str, task_state: str, progress: bool, fault: bool
) -> None:
    server = make_server(
        project, vm_state=vm_state, task_state=task_state, fault_code="no_valid_host", fault_at=clock.now()
    )
    body = show(member, server, "2.1")
    assert ("progress" in body, "fault" in body) == (progress, fault)


@pytest.mark.parametrize(
    ("code", "number", "to_admin", "to_owner"),
    [("no_valid_host", 500, True, False), ("invalid_cpu_info", 400, True, True)],
)
def test_details_of_our_own_faults_are_the_admins(
    admin: Caller, member: Caller, project: Project, code: str, number: int, to_admin: bool, to_owner: bool
) -> None:
    server = make_server(
        project, vm_state="error", fault_code=code, fault_message="m", fault_details="d", fault_at=clock.now()
    )
    for caller, sees in ((admin, to_admin), (member, to_owner)):
        fault = show(caller, server, "2.1")["fault"]
        assert (fault["code"], fault["message"], "details" in fault) == (number, "m", sees)


def test_foreign_server_is_missing(stranger: Caller, server: Server) -> None:
    response = stranger.get(f"/v2.1/servers/{server.uuid}")
    message = f"Instance {server.uuid} could not be found."
    assert response.json() == {"itemNotFound": {"code": 404, "message": message}}


def test_admin_of_another_project_sees_it(server: Server, stranger: Caller) -> None:
    assert show(Caller(stranger.project, "admin"), server, "2.1")["name"] == "web"


@pytest.mark.parametrize("server_id", ["web", "1", "not-a-uuid", "%F0%9F%A6%8A"])
def test_name_in_place_of_an_id_is_a_clean_404(member: Caller, server: Server, server_id: str) -> None:
    assert member.get(f"/v2.1/servers/{server_id}").status_code == 404


def test_deleted_server_is_missing(admin: Caller, project: Project) -> None:
    server = make_server(project, deleted_at=clock.now())
    assert admin.get(f"/v2.1/servers/{server.uuid}").status_code == 404


def test_role_that_means_nothing_sees_nothing(server: Server, project: Project) -> None:
    nobody = Caller(project, "unrelated")
    assert nobody.get(f"/v2.1/servers/{server.uuid}").status_code == 403
    assert nobody.get("/v2.1/servers").status_code == 403
