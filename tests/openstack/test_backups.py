"""createBackup with a real Keystone and a real Glance: from the request to the image, and whatever lies between."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from keystoneauth1.session import Session

from servers.clock import VirtualClock
from servers.engine.images import discard_left
from servers.models import ActionRecord, Image, Project, Server
from servers.states import ActionStatus
from tests.admin.visiting import Visitor
from tests.conftest import HTTP
from tests.factories import make_domain
from tests.openstack.asking import ask
from tests.openstack.glance import Glance
from tests.openstack.keystone import Keystone
from tests.openstack.relay import Relay
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(gantry: Any, keystone: Keystone, glance: Glance, fleet: SmallFleet) -> SmallFleet:
    """Return a fleet of Keystone's project demo, whose backups go to Glance."""
    gantry.IMAGES, gantry.GLANCE_URL, gantry.GLANCE_TIMEOUT_S = "glance", glance.url, 5.0
    pk = keystone.project_id("demo")
    fleet.project = Project.objects.create(pk=pk, name="demo", domain=make_domain())
    return fleet


@pytest.fixture
def alice(keystone: Keystone) -> Session:
    return keystone.session("alice", "demo")


def request_backup(token: str, server: Server, version: str = "2.45", **params: Any) -> Any:
    """Return the answer to createBackup."""
    given = {"name": "nightly", "backup_type": "daily", "rotation": 2, **params}
    return ask(token, f"/v2.1/servers/{server.uuid}/action", {"createBackup": given}, version)


def back_up(
    fleet: SmallFleet, clock: VirtualClock, token: str, server: Server, **params: Any
) -> tuple[ActionRecord, UUID]:
    """Return the record of a backup that is over, and its image."""
    clock.sleep(60)
    answer = request_backup(token, server, **params)
    assert answer.status_code == 202, answer.content
    fleet.work()
    image = UUID(answer.json()["image_id"])
    return ActionRecord.objects.get(image_id=image), image


def names(images: list[dict[str, Any]]) -> list[str]:
    return sorted(image["name"] for image in images)


def listed(glance: Glance, who: Session, server: Server) -> list[str]:
    return names(glance.listed(who, instance_uuid=str(server.uuid)))


def test_backup_is_an_image_of_its_project_in_glance(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server = shop.add_server()
    token = keystone.token("alice")
    record, image = back_up(shop, virtual_clock, token, server, metadata={"mine": "yes"})
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    seen, row = glance.show(alice, image), Image.objects.get(pk=image)
    assert seen is not None
    assert (seen["status"], seen["visibility"], seen["owner"]) == ("active", "private", shop.project.pk)
    assert (seen["image_type"], seen["backup_type"]) == ("backup", "daily")
    assert (seen["instance_uuid"], seen["base_image_ref"]) == (str(server.uuid), server.image_ref)
    assert (seen["user_id"], seen["mine"]) == (keystone.one("users", "alice")["id"], "yes")
    assert (seen["size"], seen["disk_format"]) == (row.size_bytes, row.disk_format)
    content = alice.get(f"{glance.url}/v2/images/{image}/file").content
    assert hashlib.sha256(content).hexdigest() == row.sha256
    assert hashlib.new(seen["os_hash_algo"], content).hexdigest() == seen["os_hash_value"]
    assert glance.show(keystone.session("oscar", "other"), image) is None
    assert drafts() == []


def drafts() -> list[Path]:
    """Return what is left of what was to be uploaded."""
    return list(Path(settings.IMAGE_DIR).iterdir())


def test_location_leads_to_the_sites_glance_before_the_backup_is_made(
    shop: SmallFleet, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    answer = request_backup(keystone.token("alice"), shop.add_server(), "2.1")
    assert answer["Location"].startswith(f"{glance.url}/v2/images/")
    assert alice.get(answer["Location"]).json()["status"] == "queued"
    shop.work()
    assert alice.get(answer["Location"]).json()["status"] == "active"


def test_only_the_newest_backups_of_a_type_stay(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server, other, token = shop.add_server(), shop.add_server("other"), keystone.token("alice")
    back_up(shop, virtual_clock, token, other, name="of another")
    back_up(shop, virtual_clock, token, server, name="weekly", backup_type="weekly")
    for name in "abcd":
        back_up(shop, virtual_clock, token, server, name=name)
    assert listed(glance, alice, server) == ["c", "d", "weekly"]
    assert listed(glance, alice, other) == ["of another"]
    back_up(shop, virtual_clock, token, server, name="none", rotation=0)
    assert listed(glance, alice, server) == ["weekly"]


def test_backup_that_was_deleted_in_glance_does_not_push_out_another(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server, token = shop.add_server(), keystone.token("alice")
    _, a = back_up(shop, virtual_clock, token, server, name="a")
    _, b = back_up(shop, virtual_clock, token, server, name="b")
    alice.delete(f"{glance.url}/v2/images/{b}")
    record, _ = back_up(shop, virtual_clock, token, server, name="c")
    assert record.status == ActionStatus.SUCCEEDED
    assert listed(glance, alice, server) == ["a", "c"]
    assert Image.objects.get(pk=b).status == "deleted"
    assert ask(token, f"/v2.1/images/{b}").status_code == 404
    assert ask(token, f"/v2.1/images/{a}").status_code == 200


def test_backup_that_is_protected_in_glance_stays(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server, token = shop.add_server(), keystone.token("alice")
    _, a = back_up(shop, virtual_clock, token, server, name="a", rotation=1)
    glance.change(alice, a, "protected", True)
    record, _ = back_up(shop, virtual_clock, token, server, name="b", rotation=1)
    assert record.status == ActionStatus.SUCCEEDED
    assert listed(glance, alice, server) == ["a", "b"]
    refused = ask_to_delete(token, a)
    assert refused.status_code == 403 and "protected" in refused.json()["forbidden"]["message"]
    glance.change(alice, a, "protected", False)
    assert ask_to_delete(token, a).status_code == 204
    assert listed(glance, alice, server) == ["b"]


def ask_to_delete(token: str, image: UUID) -> Any:
    return HTTP.delete(f"/v2.1/images/{image}", headers={"X-Auth-Token": token})


def test_image_that_is_gone_in_glance_can_be_deleted_here(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    token = keystone.token("alice")
    _, image = back_up(shop, virtual_clock, token, shop.add_server())
    alice.delete(f"{glance.url}/v2/images/{image}")
    assert ask_to_delete(token, image).status_code == 204


def test_backup_of_a_foreign_server_is_shared_with_its_project(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    _, image = back_up(shop, virtual_clock, keystone.token("admin"), shop.add_server())
    seen = glance.show(alice, image)
    assert seen is not None
    assert (seen["visibility"], seen["owner"]) == ("shared", keystone.project_id("admin"))


def test_backup_is_downloaded_through_the_console(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    _, image = back_up(shop, virtual_clock, keystone.token("alice"), shop.add_server())
    visitor, page = Visitor(shop.project, "member"), f"/admin/servers/image/{image}/download/"
    content: Any = visitor.get(page)
    kept = alice.get(f"{glance.url}/v2/images/{image}/file").content
    assert b"".join(content.streaming_content) == kept != b""
    with glance.service.down():
        assert visitor.get(page).status_code == 503


# --------------------------------------------------------------------------------------------- troubles


def test_upload_that_breaks_off_once_is_done_again(
    shop: SmallFleet,
    virtual_clock: VirtualClock,
    keystone: Keystone,
    glance: Glance,
    alice: Session,
    gantry: Any,
) -> None:
    server = shop.add_server()
    with Relay(glance.service.port, 128 * 1024, breaks=1) as relay:
        gantry.GLANCE_URL = relay.url
        record, image = back_up(shop, virtual_clock, keystone.token("alice"), server)
    assert (record.status, relay.broken) == (ActionStatus.SUCCEEDED, 1)
    seen = glance.show(alice, image)
    assert seen is not None and seen["size"] == Image.objects.get(pk=image).size_bytes


def test_upload_that_always_breaks_off_leaves_nothing_and_costs_no_old_backup(
    shop: SmallFleet,
    virtual_clock: VirtualClock,
    keystone: Keystone,
    glance: Glance,
    alice: Session,
    gantry: Any,
) -> None:
    server, token = shop.add_server(), keystone.token("alice")
    _, old = back_up(shop, virtual_clock, token, server, name="old", rotation=1)
    with Relay(glance.service.port, 128 * 1024, breaks=100) as relay:
        gantry.GLANCE_URL = relay.url
        record, image = back_up(shop, virtual_clock, token, server, name="new", rotation=1)
    assert record.status == ActionStatus.FAILED
    assert relay.broken > 1  # a try that comes before Glance has noticed the last break uploads nothing
    assert "image store does not answer" in record.error_text
    discard_when_noticed()
    assert glance.show(keystone.admin, image) is None and glance.show(alice, old) is not None
    assert str(image) not in glance.files() and str(old) in glance.files()
    assert drafts() == []
    assert shop.state(server)["task_state"] == ""


def discard_when_noticed() -> None:
    """Delete what is left; Glance answers 500 for as long as it is busy with an upload that has broken off."""
    for _ in range(50):
        if discard_left() == 0:
            return
        time.sleep(0.1)
    raise AssertionError("Glance never noticed")


def test_glance_that_dies_in_the_middle_costs_no_old_backup(
    shop: SmallFleet,
    virtual_clock: VirtualClock,
    keystone: Keystone,
    glance: Glance,
    alice: Session,
    gantry: Any,
) -> None:
    server, token, admin = shop.add_server(), keystone.token("alice"), keystone.admin
    _, old = back_up(shop, virtual_clock, token, server, name="old", rotation=1)
    image = request_backup(token, server, name="new", rotation=1).json()["image_id"]

    def kill_while_it_saves() -> None:
        glance.wait_until(image, "saving", admin)
        glance.service.kill()

    with (
        glance.service.restored(),
        Relay(glance.service.port, 128 * 1024, breaks=1, on_break=kill_while_it_saves) as relay,
    ):
        gantry.GLANCE_URL = relay.url
        shop.work()
    record = ActionRecord.objects.get(image_id=image)
    assert (record.status, relay.broken) == (ActionStatus.FAILED, 1)
    assert "image store does not answer" in record.error_text
    assert shop.state(server)["task_state"] == "" and drafts() == []
    left = glance.show(alice, image)
    assert left is not None and left["status"] == "saving"  # Glance itself never finds out
    gantry.GLANCE_URL = glance.url
    assert discard_left() == 1
    assert listed(glance, alice, server) == ["old"] and str(old) in glance.files()


def test_record_that_could_not_be_deleted_is_deleted_when_glance_is_back(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server, token = shop.add_server(), keystone.token("alice")
    answer = request_backup(token, server)
    image = answer.json()["image_id"]
    with glance.service.down():
        shop.work()
    assert ActionRecord.objects.get(image_id=image).status == ActionStatus.FAILED
    assert glance.show(alice, image) is not None
    assert discard_left() == 1
    assert glance.show(alice, image) is None
    assert discard_left() == 0


def test_glance_that_is_away_when_the_backup_is_asked_for_may_be_back_when_it_is_made(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance, alice: Session
) -> None:
    server, token = shop.add_server(), keystone.token("alice")
    with glance.service.down():
        answer = request_backup(token, server)
    assert answer.status_code == 202
    shop.work()
    seen = glance.show(alice, answer.json()["image_id"])
    assert seen is not None and seen["status"] == "active"


def test_deletion_says_that_glance_is_away(
    shop: SmallFleet, virtual_clock: VirtualClock, keystone: Keystone, glance: Glance
) -> None:
    token = keystone.token("alice")
    _, image = back_up(shop, virtual_clock, token, shop.add_server())
    with glance.service.down():
        answer = ask_to_delete(token, image)
    assert answer.status_code == 503
    assert answer.json()["serviceUnavailable"]["code"] == 503
    assert Image.objects.get(pk=image).status == "active"
