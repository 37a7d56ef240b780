"""What the clients show of the fleet, and of the people."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.clients.cloud import Cloud, at_newest


@at_newest
def test_the_catalog_leads_to_every_service(cloud: Cloud) -> None:
    assert {row["Type"] for row in cloud.openstack("catalog", "list")} == {"identity", "compute", "image"}


@at_newest
def test_a_connection_outlives_the_pause_of_a_client_that_polls(cloud: Cloud) -> None:
    connection = HTTPConnection(urlsplit(cloud.running.address).netloc, timeout=10)
    for _ in range(2):
        connection.request(
            "GET", "/identity"
        )  # on the same connection: the library makes a new one only when told
        assert connection.getresponse().read()
        socket = connection.sock
        time.sleep(4)  # twice the pause of openstacksdk
    assert connection.sock is socket is not None


def test_servers_are_listed_with_their_image_and_flavor(cloud: Cloud) -> None:
    rows = {row["Name"]: row for row in cloud.openstack("server", "list", "--all-projects")}
    assert (rows["db-1"]["Image"], rows["db-1"]["Flavor"]) == ("debian-13", "medium")
    assert rows["mail-1"]["Image"] == "N/A (booted from volume)"
    assert rows["web-3"]["Networks"] == {"private": [cloud.server("web-3").addresses["private"][0]["addr"]]}


def test_a_server_is_shown_by_its_name_with_its_host(cloud: Cloud) -> None:
    shown = cloud.openstack("server", "show", "worker-5")
    assert (shown["status"], shown["OS-EXT-STS:vm_state"]) == ("SUSPENDED", "suspended")
    assert shown["OS-EXT-SRV-ATTR:host"] == "rack1-a"


@at_newest
def test_a_server_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    assert "No Server found for nosuch" in cloud.refusal("server", "show", "nosuch")


@at_newest
def test_a_wrong_password_is_refused(cloud: Cloud) -> None:
    assert "HTTP 401" in cloud.refusal("token", "issue", OS_PASSWORD="wrong")


@pytest.mark.parametrize(
    ("words", "column", "value"),
    [
        ("compute service list", "Host", "edge-1"),
        ("hypervisor list", "Hypervisor Hostname", "edge-1"),
        ("availability zone list --compute", "Zone Name", "nova"),
        ("flavor list", "Name", "tiny"),
    ],
)
def test_lists_of_the_compute_service(cloud: Cloud, words: str, column: str, value: str) -> None:
    assert value in {row[column] for row in cloud.openstack(*words.split())}


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("hypervisor show rack2-b", "status", "disabled"),
        ("flavor show small", "ram", 1024),
    ],
)
def test_things_of_the_compute_service_are_shown_by_name(
    cloud: Cloud, words: str, field: str, value: object
) -> None:
    assert cloud.openstack(*words.split())[field] == value


@at_newest
@pytest.mark.parametrize(
    ("words", "column", "value"),
    [
        ("image list", "Name", "debian-13"),
        ("project list", "Name", "shop"),
        ("user list", "Name", "olga"),
        ("role list", "Name", "manager"),
    ],
)
def test_lists_of_the_other_services(cloud: Cloud, words: str, column: str, value: str) -> None:
    assert value in {row[column] for row in cloud.openstack(*words.split())}


def test_a_service_is_disabled_with_a_reason_and_enabled_again(cloud: Cloud) -> None:
    service = ("compute", "service", "set", "rack2-a", "nova-compute")
    cloud.openstack(*service, "--disable", "--disable-reason", "a new fan")
    rows = {row["Host"]: row for row in cloud.openstack("compute", "service", "list", "--long")}
    assert (rows["rack2-a"]["Status"], rows["rack2-a"]["Disabled Reason"]) == ("disabled", "a new fan")
    cloud.openstack(*service, "--enable")


@pytest.mark.parametrize(
    "words", ["service-list", "hypervisor-list", "availability-zone-list", "show worker-4"]
)
def test_nova_reads_the_same(cloud: Cloud, words: str) -> None:
    assert cloud.nova(*words.split()).startswith("+--")
