"""Backups as Glance's clients see them: list, show, download, delete."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from servers import clock
from servers.models import Image, Project
from servers.policy import in_force
from tests.api.image.storing import stored
from tests.factories import make_image

pytestmark = pytest.mark.django_db


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


def test_list_costs_as_many_queries_with_a_page_of_images_as_with_five(
    member: Any, project: Project, django_assert_num_queries: Any
) -> None:
    for more, there in ((5, 5), (20, 25)):
        for _ in range(more):
            make_image(project)
        with django_assert_num_queries(3):
            answer = member.get("/image/v2/images")
        assert len(answer.json()["images"]) == there


def test_version_list_is_no_choice_when_it_is_asked_for(member: Any) -> None:
    assert [member.client.get(f"/image{path}").status_code for path in ("", "/", "/versions")] == [
        300,
        300,
        200,
    ]
    assert member.client.post("/image").status_code == 405


@pytest.mark.parametrize("method", ["DISPATCH", "ANSWER", "FIND", "SETUP", "PUT"])
def test_method_that_is_none_is_not_allowed(member: Any, project: Project, method: str) -> None:
    response = member.request(method, f"/image/v2/images/{make_image(project).pk}")
    assert response.status_code == 405 and "DELETE" in response["Allow"]


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_schema_says_what_there_is(member: Any, project: Project, name: str) -> None:
    body = member.get(f"/image/v2/schemas/{name}").json()
    assert body["name"] == name and body["properties"]
    assert member.get("/image/v2/schemas/nonsense").status_code == 404


def test_every_member_of_an_image_is_in_its_schema_or_a_text(member: Any, project: Project) -> None:
    known = member.get("/image/v2/schemas/image").json()["properties"]
    body = member.get(f"/image/v2/images/{make_image(project, properties={'number': 5}).pk}").json()
    assert all(isinstance(value, str) for key, value in body.items() if key not in known)


def test_there_are_no_tasks_and_no_members(member: Any, stranger: Any, project: Project) -> None:
    path = f"/image/v2/images/{make_image(project).pk}"
    assert member.get(f"{path}/tasks").json() == {"tasks": []}
    assert member.get(f"{path}/members").json()["members"] == []
    assert stranger.get(f"{path}/tasks").status_code == 404


def test_public_image_is_everybodys_to_see_and_its_owners_to_delete(stranger: Any, project: Project) -> None:
    image = make_image(project, visibility="public")
    assert names(stranger.get("/image/v2/images?visibility=public")) == ["backup"]
    assert stranger.get(f"/image/v2/images/{image.pk}").status_code == 200
    assert stranger.delete(f"/image/v2/images/{image.pk}").status_code == 403


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_rules_of_the_policy_are_asked(member: Any, project: Project, settings: Any, method: str) -> None:
    path = settings.DATA_DIR / "policy.yaml"
    path.write_text('{"get_images": "!", "download_image": "!", "delete_image": "!", "modify_image": "!"}')
    in_force.cache_clear()
    try:
        image = f"/image/v2/images/{make_image(project).pk}"
        assert member.request(method, image).status_code == 403
        assert member.get("/image/v2/images").status_code == 403
        assert member.get(f"{image}/file").status_code == 403
    finally:
        in_force.cache_clear()
