"""Lists of images: every filter, and pages that miss nothing and show nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils.http import urlencode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.models import Project
from tests.factories import make_image

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 5, 4, 3, 2, 1, 500000, UTC)
SHOWN = "2026-05-04T03:02:01Z"
KEYS = [
    "name",
    "status",
    "size_min",
    "created_at",
    "updated_at",
    "limit",
    "marker",
    "sort",
    "sort_key",
    "sort_dir",
]
KEYS += ["id", "protected", "os_hidden", "visibility", "tag", "mine", "instance_uuid", "member_status"]
VALUES = ["in:a,b", "gt:" + SHOWN, "name:asc", "created_at", "desc", "true", "all", "9" * 18, "-1", SHOWN]


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [i["name"] for i in response.json()["images"]]


def walk(caller: Any, query: str) -> list[str]:
    """Return the names on all pages, one after the other."""
    path, found = f"/image/v2/images?{query}", []
    for _ in range(50):
        response = caller.get(path)
        found += names(response)
        if "next" not in response.json():
            return found
        path = "/image" + response.json()["next"]
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize(
    "key", ["size", "updated_at", "created_at", "name", "status", "instance_uuid", "backup_type", "id"]
)
def test_pages_miss_nothing_and_show_nothing_twice(
    member: Any, project: Project, key: str, direction: str
) -> None:
    for number in range(8):
        half = number % 2
        make_image(
            project,
            name=str(number),
            created_at=MOMENT,
            size_bytes=5 if half else None,
            updated_at=MOMENT if half else None,
            instance_uuid="8d6a0a5e-7f3c-4b0e-9d5b-0d2f8a6c1e2f" if half else None,
        )
    whole = walk(member, f"sort={key}:{direction}")
    assert sorted(whole) == [str(n) for n in range(8)]
    for limit in (1, 3):
        assert walk(member, f"limit={limit}&sort={key}:{direction}") == whole


def test_several_keys_sort_one_after_the_other(member: Any, project: Project) -> None:
    for name, size in (("a", 2), ("b", 1), ("a", 1), ("b", 2)):
        make_image(project, name=name, size_bytes=size)
    body = member.get("/image/v2/images?sort_key=name&sort_dir=asc&sort_key=size&sort_dir=desc").json()
    assert [(i["name"], i["size"]) for i in body["images"]] == [("a", 2), ("a", 1), ("b", 2), ("b", 1)]


def test_filters_and_order_are_kept_from_page_to_page(member: Any, project: Project) -> None:
    for name in ("a", "b", "c"):
        make_image(project, name=name, properties={"mine": "yes" if name != "b" else "no"})
    assert walk(member, "limit=1&mine=yes&sort=name:asc") == ["a", "c"]


@pytest.mark.parametrize(
    ("word", "found"),
    [("eq", True), ("gt", False), ("gte", True), ("lt", False), ("lte", True), ("neq", False)],
)
@pytest.mark.parametrize("key", ["created_at", "updated_at"])
def test_time_is_compared_as_it_is_shown(
    member: Any, project: Project, key: str, word: str, found: bool
) -> None:
    image = make_image(project, created_at=MOMENT)
    assert member.get(f"/image/v2/images/{image.pk}").json()[key] == SHOWN
    assert names(member.get(f"/image/v2/images?{key}={word}:{SHOWN}")) == ["backup"] * found


@pytest.mark.parametrize(
    ("seconds", "word", "found"), [(-1, "gt", 1), (1, "gt", 0), (1, "lt", 1), (-1, "lt", 0)]
)
def test_time_before_or_behind(member: Any, project: Project, seconds: int, word: str, found: int) -> None:
    make_image(project, created_at=MOMENT)
    text = (MOMENT + timedelta(seconds=seconds)).isoformat()
    assert len(names(member.get("/image/v2/images?" + urlencode({"created_at": f"{word}:{text}"})))) == found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("number=5", ["a"]),
        ("yes=True", ["a"]),
        ("number=5&yes=True", ["a"]),
        ("number=5&yes=False", []),
        ("it%27s%22=%5C", ["a"]),
        ("0=zero", ["a"]),
        ("protected=true", ["b"]),
        ("protected=false", ["a"]),
        ("os_hidden=true", []),
        ("os_hidden=false", ["b", "a"]),
        ("size=7", ["b"]),
        ("min_disk=3", ["b"]),
        ("size_max=6", ["a"]),
        ("visibility=all", ["b", "a"]),
        ("visibility=public", []),
        ("tag=x", []),
        ("id=in:none", []),
        ("status=in:active,queued", ["b", "a"]),
    ],
)
def test_every_filter_filters(member: Any, project: Project, query: str, expected: list[str]) -> None:
    odd = {"number": 5, "yes": True, "it's\"": "\\", "0": "zero"}
    make_image(project, name="a", created_at=MOMENT, size_bytes=6, properties=odd)
    later = MOMENT + timedelta(seconds=1)
    make_image(project, name="b", created_at=later, size_bytes=7, min_disk=3, protected=True)
    assert names(member.get(f"/image/v2/images?{query}")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "protected=perhaps",
        "created_at=9999-12-31T23:59:59-23:59",
        "created_at=gt:9999-12-31T23:59:59Z",
        "%00=x",
    ],
)
def test_value_that_is_none_is_a_bad_request(member: Any, query: str) -> None:
    assert member.get(f"/image/v2/images?{query}").status_code == 400


def test_image_of_others_is_no_marker(member: Any, stranger: Any) -> None:
    foreign = make_image(stranger.project)
    assert member.get(f"/image/v2/images?marker={foreign.pk}").status_code == 400


def test_many_properties_cost_one_query_more(
    member: Any, project: Project, django_assert_num_queries: Any
) -> None:
    make_image(project, properties={"a": "1", "b": "2", "c": "3"})
    with django_assert_num_queries(4):
        assert names(member.get("/image/v2/images?a=1&b=2&c=3")) == ["backup"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(KEYS) | st.text(), st.sampled_from(VALUES) | st.text()), max_size=4)
)
def test_no_query_makes_an_error_of_ours(member: Any, query: list[tuple[str, str]]) -> None:
    pairs = [(k.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for k, v in query]
    assert member.get("/image/v2/images?" + urlencode(pairs)).status_code in {200, 400}
