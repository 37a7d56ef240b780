"""Where the Location of createBackup leads, until 2.35."""

from __future__ import annotations

from uuid import uuid4

import pytest

from servers.models import Image, Project
from tests.conftest import Caller
from tests.factories import make_image, make_project


def test_image_as_nova_shows_it(reader: Caller, project: Project) -> None:
    server = uuid4()
    image = make_image(project, name="b1", size_bytes=7, instance_uuid=server, properties={"k": "v"})
    body = reader.get(f"/v2.1/images/{image.pk}", "2.35").json()["image"]
    assert set(body) == {
        "id", "name", "status", "progress", "created", "updated", "minDisk", "minRam", "metadata", "server", "links",
        "OS-EXT-IMG-SIZE:size",
    }  # fmt: skip
    assert (body["status"], body["progress"], body["OS-EXT-IMG-SIZE:size"]) == ("ACTIVE", 100, 7)
    assert body["server"]["id"] == str(server)
    assert body["metadata"] == {
        "k": "v", "image_type": "backup", "backup_type": "daily", "instance_uuid": str(server),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "word"),
    [("queued", "SAVING"), ("saving", "SAVING"), ("active", "ACTIVE"), ("killed", "ERROR")],
)
def test_statuses(reader: Caller, project: Project, status: str, word: str) -> None:
    image = make_image(project, status=status)
    assert reader.get(f"/v2.1/images/{image.pk}").json()["image"]["status"] == word


def test_proxy_is_gone_since_2_36(member: Caller, project: Project) -> None:
    image = make_image(project)
    for response in (
        member.get(f"/v2.1/images/{image.pk}", "2.36"),
        member.delete(f"/v2.1/images/{image.pk}", "2.36"),
    ):
        assert response.json()["itemNotFound"]["message"] == "The resource could not be found."


@pytest.mark.parametrize("image_id", ["nosuch", "11111111-2222-4333-8444-555555555555"])
def test_unknown_image(reader: Caller, image_id: str) -> None:
    assert reader.get(f"/v2.1/images/{image_id}").json()["itemNotFound"]["message"] == "Image not found."


def test_foreign_image_is_seen_when_it_is_shared(reader: Caller, project: Project) -> None:
    other = make_project()
    hidden = make_image(other)
    shared = make_image(other, visibility="shared", properties={"instance_owner": project.pk})
    assert reader.get(f"/v2.1/images/{hidden.pk}").status_code == 404
    assert reader.get(f"/v2.1/images/{shared.pk}").status_code == 200


def test_image_is_deleted(member: Caller, reader: Caller, project: Project) -> None:
    image = make_image(project)
    assert reader.delete(f"/v2.1/images/{image.pk}").status_code == 403
    assert member.delete(f"/v2.1/images/{image.pk}").status_code == 204
    assert Image.objects.get().status == "deleted"
    assert member.get(f"/v2.1/images/{image.pk}").status_code == 404
