"""Images: looked at, downloaded, deleted."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from servers.models import Image, Project
from tests.admin.visiting import Visitor, page_of, words
from tests.factories import make_image, make_project

LIST = "/admin/servers/image/"


def stored(project: Project, content: bytes = b"disk", **fields: object) -> Image:
    """Return an image with bytes."""
    image = make_image(project, size_bytes=len(content), **fields)
    folder = Path(settings.IMAGE_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(image.pk)).write_bytes(content)
    return image


def test_list_shows_size_type_and_age(operator: Visitor, project: Project) -> None:
    make_image(project, name="nightly", size_bytes=5 * 1024**3, backup_type="daily")
    text = operator.text(LIST)
    assert "nightly" in text and "5.0 GiB" in text and "daily backup" in text and "just now" in text


def test_image_is_downloaded_whole(onlooker: Visitor, project: Project) -> None:
    image = stored(project, b"0123456789", name="My disk")
    response = onlooker.get(f"{LIST}{image.pk}/download/")
    assert b"".join(response.streaming_content) == b"0123456789"  # type: ignore[attr-defined]
    assert response["Content-Disposition"] == 'attachment; filename="my-disk.qcow2"'


def test_image_is_deleted_by_a_member(project: Project) -> None:
    image = stored(project)
    assert Visitor(project, "member").post(f"{LIST}{image.pk}/remove/").status_code == 303
    image.refresh_from_db()
    assert image.status == "deleted"
    assert not (Path(settings.IMAGE_DIR) / str(image.pk)).exists()


def test_reader_sees_the_rule_instead_of_the_button(onlooker: Visitor, project: Project) -> None:
    image = stored(project)
    said = "Policy doesn't allow delete_image to be performed."
    assert said in onlooker.text(page_of(image))
    response = onlooker.post(f"{LIST}{image.pk}/remove/")
    assert response.status_code == 403 and said in words(response)


def test_protected_image_says_so(operator: Visitor, project: Project) -> None:
    image = stored(project, protected=True)
    response = operator.post(f"{LIST}{image.pk}/remove/")
    assert response.status_code == 403 and "is protected and cannot be deleted." in words(response)


def test_looking_at_the_address_of_deletion_deletes_nothing(operator: Visitor, project: Project) -> None:
    image = stored(project)
    assert operator.get(f"{LIST}{image.pk}/remove/").status_code == 200
    assert Image.objects.get().status == "active"


def test_image_of_another_project_is_missing(onlooker: Visitor) -> None:
    image = stored(make_project())
    for path in (page_of(image), f"{LIST}{image.pk}/download/"):
        assert onlooker.get(path).status_code == 404
