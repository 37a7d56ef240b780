"""The sizes, as lists and one by one."""

from __future__ import annotations

import pytest

from tests.conftest import Caller
from tests.factories import make_flavor


def ids(caller: Caller, query: str = "", version: str = "2.1") -> list[str]:
    response = caller.get(f"/v2.1/flavors?{query}", version)
    assert response.status_code == 200, response.content
    return [flavor["id"] for flavor in response.json()["flavors"]]


@pytest.mark.parametrize(
    ("version", "added", "gone"),
    [
        ("2.54", set(), set()),
        ("2.55", {"description"}, set()),
        ("2.61", {"description", "extra_specs"}, set()),
        ("2.102", {"description", "extra_specs"}, {"rxtx_factor"}),
    ],
)
def test_members_by_microversion(reader: Caller, version: str, added: set[str], gone: set[str]) -> None:
    make_flavor(flavorid="1")
    base = {
        "id", "name", "ram", "disk", "vcpus", "swap", "OS-FLV-EXT-DATA:ephemeral", "OS-FLV-DISABLED:disabled",
        "os-flavor-access:is_public", "links", "rxtx_factor",
    }  # fmt: skip
    listed = reader.get("/v2.1/flavors/detail", version).json()["flavors"][0]
    shown = reader.get("/v2.1/flavors/1", version).json()["flavor"]
    assert set(listed) == set(shown) == (base | added) - gone


def test_no_swap_is_an_empty_string_until_2_74(reader: Caller) -> None:
    make_flavor(flavorid="1")
    assert reader.get("/v2.1/flavors/1", "2.74").json()["flavor"]["swap"] == ""
    assert reader.get("/v2.1/flavors/1", "2.75").json()["flavor"]["swap"] == 0


def test_flavors_that_are_not_public_are_the_admins(admin: Caller, reader: Caller) -> None:
    make_flavor(flavorid="open")
    make_flavor(flavorid="closed", is_public=False)
    assert ids(reader, "is_public=None") == ids(admin) == ["open"]
    assert ids(admin, "is_public=None") == ["closed", "open"]
    assert ids(admin, "is_public=false") == ["closed"]
    assert reader.get("/v2.1/flavors/closed").status_code == 404
    assert admin.get("/v2.1/flavors/closed").status_code == 200


def test_filters_and_order(reader: Caller) -> None:
    make_flavor(flavorid="small", memory_mb=1, root_gb=9, name="s")
    make_flavor(flavorid="large", memory_mb=9, root_gb=1, name="l")
    assert ids(reader, "minRam=5") == ["large"]
    assert ids(reader, "minDisk=5") == ["small"]
    assert ids(reader, "sort_key=memory_mb&sort_dir=asc") == ["small", "large"]
    assert ids(reader, "sort_key=memory_mb&sort_dir=desc") == ["large", "small"]
    assert ids(reader, "name=s", "2.102") == ["small"]


@pytest.mark.parametrize("query", ["minRam=x", "minDisk=-1", "sort_key=x", "marker=x", "limit=x"])
def test_queries_that_are_refused(reader: Caller, query: str) -> None:
    assert reader.get(f"/v2.1/flavors?{query}").status_code == 400


def test_pages(reader: Caller) -> None:
    for number in range(3):
        make_flavor(flavorid=str(number))
    body = reader.get("/v2.1/flavors?limit=2").json()
    assert body["flavors_links"][0]["href"].endswith("?limit=2&marker=1")
    assert ids(reader, "marker=1") == ["2"]


def test_unknown_keys_are_refused_since_2_75(reader: Caller) -> None:
    assert ids(reader, "foo=1", "2.74") == []
    assert reader.get("/v2.1/flavors?foo=1", "2.75").status_code == 400


def test_extra_specs(reader: Caller) -> None:
    make_flavor(flavorid="1", extra_specs={"k": "v"})
    assert reader.get("/v2.1/flavors/1/os-extra_specs").json() == {"extra_specs": {"k": "v"}}
    message = reader.get("/v2.1/flavors/x").json()["itemNotFound"]["message"]
    assert message == "Flavor x could not be found."
