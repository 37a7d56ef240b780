"""createBackup as the clients ask for it, and the images that come of it."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.clients.cloud import Cloud, at_newest, until

DAILY = "daily"


def backups(cloud: Cloud, server: Any, kind: str) -> list[str]:
    """Return the names of the server's backups of that kind, the oldest first."""
    images = cloud.sdk.image.images(sort="created_at:asc")
    return [i.name for i in images if (i.instance_uuid, i.properties.get("backup_type")) == (server.id, kind)]


def test_a_backup_is_an_image_that_says_what_it_was_made_of(cloud: Cloud) -> None:
    words = ("server", "backup", "create", "web-4", "--name", "by hand", "--type", "weekly", "--rotate", "1")
    made = cloud.openstack(*words, "--wait")
    shown = cloud.openstack("image", "show", made["id"])
    kinds = {name: shown["properties"][name] for name in ("image_type", "backup_type", "instance_uuid")}
    assert (shown["name"], shown["status"]) == ("by hand", "active")
    assert kinds == {
        "image_type": "backup",
        "backup_type": "weekly",
        "instance_uuid": cloud.server("web-4").id,
    }


def test_rotation_keeps_the_newest(cloud: Cloud) -> None:
    server = cloud.server("worker-3")
    for name in ("one", "two", "three"):
        cloud.sdk.compute.backup_server(server, name, DAILY, 2, wait=True, timeout=60)
        cloud.settled(server, "SHUTOFF")
    assert backups(cloud, server, DAILY) == ["two", "three"]


def test_nova_sends_the_rotation_as_text(cloud: Cloud) -> None:
    server = cloud.server("worker-1")
    cloud.nova("backup", "worker-1", "by nova", "hourly", "1")
    assert until(lambda: backups(cloud, server, "hourly"), bool) == ["by nova"]
    cloud.settled(server)


def test_a_backup_can_be_downloaded_as_it_was_written(cloud: Cloud) -> None:
    server = cloud.server("web-3")
    image = cloud.sdk.compute.backup_server(server, "to keep", "keep", 1, wait=True, timeout=60)
    content = cloud.sdk.image.download_image(image.id).content
    assert (len(content), hashlib.new(image.hash_algo, content).hexdigest()) == (image.size, image.hash_value)


def test_the_image_is_named_in_a_header_and_since_2_45_in_the_body(cloud: Cloud) -> None:
    server = cloud.settled(cloud.server("web-3"))
    order = {"createBackup": {"name": "raw", "backup_type": "raw", "rotation": 1}}
    old = cloud.act(server, order, "2.1")
    assert (old.status_code, old.content) == (202, b"")
    assert cloud.sdk.image.get_image(old.headers["Location"].rpartition("/")[2]).name == "raw"
    cloud.settled(server)
    cloud.needs("2.45")
    new = cloud.act(server, order, "2.45")
    assert (new.status_code, "Location" in new.headers) == (202, False)
    assert cloud.sdk.image.get_image(new.json()["image_id"]).name == "raw"
    cloud.settled(server)


@at_newest
def test_a_rotation_below_nothing_is_refused(cloud: Cloud) -> None:
    words = ("server", "backup", "create", "web-3", "--name", "x", "--type", DAILY, "--rotate", "-1")
    assert "rotation" in cloud.refusal(*words)
