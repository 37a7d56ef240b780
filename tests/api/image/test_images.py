"""Backups as Glance's clients see them: list, show, download, delete."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from servers import clock
from servers.images.local import LocalImageStore
from servers.models import Image, Project
from tests.factories import make_image

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(256)) * 4


def stored(project: Project, **fields: Any) -> Image:
    image = make_image(project, size_bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), **fields)
    store = LocalImageStore(settings.IMAGE_DIR)
    store.place(image.pk).write_bytes(CONTENT)
    store.commit(image.pk)
    return image


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [i["name"] for i in response.json()["images"]]


def test_versions_are_told_to_everybody(member: Any) -> None:
    assert member.client.get("/image").status_code == 300
    assert member.client.get("/image/versions").json()["versions"][0]["status"] == "CURRENT"


def test_no_token_no_images(member: Any) -> None:
    assert member.client.get("/image/v2/images").status_code == 401


def test_image_shows_what_it_is_a_backup_of(member: Any, project: Project) -> None:
    server = uuid4()
    image = make_image(project, instance_uuid=server, properties={"mine": "yes", "base_image_ref": "i0"})
    body = member.get(f"/image/v2/images/{image.pk}").json()
    assert (body["image_type"], body["backup_type"], body["instance_uuid"]) == (
        "backup",
        "daily",
        str(server),
    )
    assert (body["mine"], body["base_image_ref"], body["status"]) == ("yes", "i0", "active")


def test_foreign_and_deleted_images_are_not_there(
    member: Any, stranger: Any, admin: Any, project: Project
) -> None:
    image = make_image(project)
    gone = make_image(project, status="deleted")
    assert stranger.get(f"/image/v2/images/{image.pk}").status_code == 404
    assert names(stranger.get("/image/v2/images")) == []
    assert admin.get(f"/image/v2/images/{image.pk}").status_code == 200
    assert member.get(f"/image/v2/images/{gone.pk}").status_code == 404
    assert member.get("/image/v2/images/none").status_code == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=a", ["a"]),
        ("name=in:a,b", ["b", "a"]),
        ("status=queued", ["c"]),
        ("backup_type=weekly", ["b"]),
        ("mine=yes", ["a"]),
        ("size_min=5", ["b"]),
        ("sort_key=name&sort_dir=asc", ["a", "b", "c"]),
        ("sort=name:desc", ["c", "b", "a"]),
        ("limit=1&sort_key=name&sort_dir=asc", ["a"]),
    ],
)
def test_list_is_filtered_and_sorted(member: Any, project: Project, query: str, expected: list[str]) -> None:
    now = clock.now()
    make_image(project, name="a", created_at=now, properties={"mine": "yes"})
    make_image(project, name="b", created_at=now + timedelta(seconds=1), backup_type="weekly", size_bytes=9)
    make_image(project, name="c", created_at=now + timedelta(seconds=2), status="queued")
    assert names(member.get(f"/image/v2/images?{query}")) == expected


def test_pages_follow_each_other_and_miss_nothing_within_one_moment(member: Any, project: Project) -> None:
    now = clock.now()
    for number in range(7):
        make_image(project, name=str(number), created_at=now)
    seen: list[str] = []
    path = "/image/v2/images?limit=3&sort_key=created_at&sort_dir=asc"
    for _ in range(5):
        body = member.get(path).json()
        seen += [i["name"] for i in body["images"]]
        if "next" not in body:
            break
        path = "/image" + body["next"]
    assert sorted(seen) == [str(n) for n in range(7)]


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "marker=none", "sort_key=none", "created_at=gt:x", "size_min=%00"]
)
def test_nonsense_is_a_bad_request(member: Any, query: str) -> None:
    assert member.get(f"/image/v2/images?{query}").status_code == 400


def test_download_gives_the_bytes(member: Any, project: Project) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file")
    assert b"".join(response.streaming_content) == CONTENT
    assert response["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("header", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-4", 1020, 1024)]
)
def test_part_of_an_image_is_downloaded(
    member: Any, project: Project, header: str, start: int, end: int
) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range=header)
    assert response.status_code == 206
    assert b"".join(response.streaming_content) == CONTENT[start:end]
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/1024"


def test_range_behind_the_end_cannot_be_satisfied(member: Any, project: Project) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range="bytes=2000-")
    assert response.status_code == 416 and response["Content-Range"] == "bytes */1024"


def test_delete_takes_record_and_bytes(member: Any, project: Project) -> None:
    image = stored(project)
    assert member.delete(f"/image/v2/images/{image.pk}").status_code == 204
    image.refresh_from_db()
    assert image.status == "deleted" and not (settings.IMAGE_DIR / str(image.pk)).exists()


@pytest.mark.parametrize(("fields", "status"), [({"protected": True}, 403), ({"status": "saving"}, 409)])
def test_image_that_must_stay_is_not_deleted(
    member: Any, project: Project, fields: dict[str, Any], status: int
) -> None:
    image = make_image(project, **fields)
    assert member.delete(f"/image/v2/images/{image.pk}").status_code == status
    assert Image.objects.get(pk=image.pk).status != "deleted"


def test_reader_may_look_and_not_delete(reader: Any, project: Project) -> None:
    image = make_image(project)
    assert reader.get(f"/image/v2/images/{image.pk}").status_code == 200
    assert reader.delete(f"/image/v2/images/{image.pk}").status_code == 403


def test_list_costs_as_many_queries_with_fifty_images_as_with_five(
    member: Any, project: Project, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        make_image(project)
    with django_assert_num_queries(2):
        member.get("/image/v2/images")
    for _ in range(45):
        make_image(project)
    with django_assert_num_queries(2):
        member.get("/image/v2/images")
