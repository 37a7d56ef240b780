"""The documents that clients read before they log in (Nova contract D.2)."""

from __future__ import annotations

import pytest
from django.conf import settings as deployment
from django.test import Client

from tests.conftest import Caller


@pytest.fixture
def anybody() -> Client:
    return Client()


def test_root_lists_the_old_version_first(anybody: Client) -> None:
    response = anybody.get("/")
    old, new = response.json()["versions"]
    assert (old["id"], old["status"], old["version"]) == ("v2.0", "DEPRECATED", "")
    assert (new["id"], new["status"], new["version"], new["min_version"]) == (
        "v2.1",
        "CURRENT",
        "2.104",
        "2.1",
    )
    assert "x-compute-request-id" not in response


@pytest.mark.parametrize("path", ["/v2.1", "/v2.1/"])
def test_version_document_needs_no_token(anybody: Client, path: str) -> None:
    response = anybody.get(path)
    version = response.json()["version"]
    assert response.status_code == 200
    assert version["links"][0] == {"rel": "self", "href": f"{deployment.PUBLIC_URL}/v2.1/"}
    assert response["OpenStack-API-Version"] == "compute 2.1"


def test_old_version_has_its_own_document(anybody: Client) -> None:
    assert anybody.get("/v2/").json()["version"]["id"] == "v2.0"


def test_version_by_its_id_needs_a_token(anybody: Client, member: Caller) -> None:
    assert anybody.get("/v2.1/versions/v2.1").status_code == 401
    assert member.get("/v2.1/versions/v2.1").json()["version"]["id"] == "v2.1"


def test_unknown_version_id_is_not_found(member: Caller) -> None:
    assert "itemNotFound" in member.get("/v2.1/versions/v9").json()


def test_address_in_no_version_offers_those_that_there_are(anybody: Client) -> None:
    response = anybody.get("/v9/servers")
    assert response.status_code == 300
    hrefs = [choice["links"][0]["href"] for choice in response.json()["choices"]]
    assert hrefs == [f"{deployment.PUBLIC_URL}/v2/v9/servers", f"{deployment.PUBLIC_URL}/v2.1/v9/servers"]


def test_console_is_found_without_its_slash(anybody: Client) -> None:
    assert anybody.get("/admin")["Location"] == "/admin/"
