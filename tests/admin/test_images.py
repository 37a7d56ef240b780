"""Images: looked at, downloaded, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from servers import clock
from servers.engine.execution.queue import run_until_idle
from servers.models import ActionRecord, Image, Project, Server
from tests.admin.visiting import Visitor, page_of, words
from tests.factories import make_image, make_project, make_server
from tests.small_fleet import SmallFleet

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


# ----------------------------------------------------------------------------- a server out of a backup


@pytest.fixture
def nightly(db: None) -> Iterator[Image]:
    """Return a backup of which a server can be made."""
    with clock.use(clock.VirtualClock()):
        fleet = SmallFleet()
        fleet.do("create-backup", fleet.add_server(), name="nightly", backup_type="daily", rotation=1)
        yield Image.objects.get(name="nightly")


def owner_of(image: Image) -> Project:
    return Project.objects.get(pk=image.project_id)


def test_a_backup_is_restored_by_its_form(nightly: Image) -> None:
    visitor = Visitor(owner_of(nightly), "admin")
    assert "Restore as a new server" in visitor.text(page_of(nightly))
    form = f"{LIST}{nightly.pk}/restore/"
    assert f"manage.py image restore {nightly.pk} --name" in visitor.text(form)
    response = visitor.post(
        form, {"name": "again", "host": "node2", "start": "true", "idempotency_key": "one"}
    )
    record = ActionRecord.objects.get(slug="restore")
    assert response.status_code == 303 and response["Location"] == page_of(record)
    run_until_idle()
    server = Server.objects.select_related("host").get(name="again")
    assert server.host is not None and server.host.name == "node2" and server.vm_state == "active"
    text = visitor.text(page_of(record))
    assert "Restore" in text and "Make guest" in text


def test_a_form_of_restoration_that_is_sent_twice_makes_one_server(nightly: Image) -> None:
    visitor = Visitor(owner_of(nightly), "admin")
    for _ in range(2):
        visitor.post(f"{LIST}{nightly.pk}/restore/", {"name": "again", "idempotency_key": "one"})
    assert Server.objects.filter(name="again").count() == 1


def test_a_member_is_not_asked_for_a_host(nightly: Image) -> None:
    visitor = Visitor(owner_of(nightly), "member")
    assert 'name="host"' not in visitor.get(f"{LIST}{nightly.pk}/restore/").content.decode()
    response = visitor.post(f"{LIST}{nightly.pk}/restore/", {"name": "again"})
    assert response.status_code == 303


def test_a_form_without_a_name_makes_no_server(nightly: Image) -> None:
    visitor = Visitor(owner_of(nightly), "admin")
    assert visitor.post(f"{LIST}{nightly.pk}/restore/", {"name": ""}).status_code == 200
    assert not ActionRecord.objects.filter(slug="restore").exists()


def test_a_reader_reads_why_no_server_is_made_for_him(onlooker: Visitor, project: Project) -> None:
    image = stored(project)
    said = "Policy doesn't allow os_compute_api:servers:create to be performed."
    assert said in onlooker.text(page_of(image))
    response = onlooker.post(f"{LIST}{image.pk}/restore/", {"name": "again"})
    assert response.status_code == 403 and said in words(response)


def test_an_image_that_cannot_be_restored_says_why(operator: Visitor, project: Project) -> None:
    assert "is unacceptable" in operator.text(page_of(stored(project)))


def test_backup_that_another_project_made_is_shown_where_it_is_shared(
    onlooker: Visitor, project: Project
) -> None:
    server, other = make_server(project), make_project()
    made = {"server": server, "instance_uuid": server.pk}
    shared = {"visibility": "shared", "properties": {"instance_owner": project.pk}}
    make_image(other, name="kept-to-himself", **made)
    image = make_image(other, name="shared-out", **made, **shared)
    for address in (page_of(server), "/admin/servers/image/"):
        text = onlooker.text(address)
        assert "shared-out" in text and "kept-to-himself" not in text
    assert server.name in onlooker.text(page_of(image))


def test_public_image_does_not_tell_of_whose_server_it_is(onlooker: Visitor) -> None:
    other = make_project()
    server = make_server(other, name="secret-plan")
    image = make_image(other, name="for-all", visibility="public", server=server, instance_uuid=server.pk)
    assert "for-all" in onlooker.text("/admin/servers/image/")
    for address in ("/admin/servers/image/", page_of(image), f"{LIST}{image.pk}/restore/"):
        assert "secret-plan" not in onlooker.text(address)
