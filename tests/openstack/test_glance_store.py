"""A real Glance as an image store: the promises of every store, and what only Glance has."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from servers.errors import ImageMissing, ImageStoreFault, ImageStoreUnavailable
from servers.images.glance import Account, GlanceImageStore, session_of
from tests.images.contract import CONTENT, ImageStoreContract, commit, facts, keep, read
from tests.openstack.glance import Glance
from tests.openstack.keystone import Keystone, password
from tests.openstack.relay import Relay
from tests.openstack.service import free_port


def store_at(keystone: Keystone, url: str, folder: Path, **account: Any) -> GlanceImageStore:
    """Return a store at this address."""
    given = {"user": "gantry", "password": password("gantry"), "project": "service", "domain_id": "default"}
    return GlanceImageStore(
        url, Account(**{"url": keystone.url, "timeout_s": 5.0, **given, **account}), folder
    )


@pytest.fixture
def store(keystone: Keystone, glance: Glance, tmp_path: Path) -> GlanceImageStore:
    return store_at(keystone, glance.url, tmp_path / "drafts")


class TestGlanceImageStore(ImageStoreContract):
    """A real one."""


def test_image_belongs_to_its_project_and_says_what_it_is(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    demo = keystone.project_id("demo")
    image = uuid4()
    properties = {"image_type": "backup", "backup_type": "daily", "instance_uuid": str(uuid4())}
    made = facts(image, properties={**properties, "owner": "mine", "visibility": "public"}, min_disk=3)
    made = replace(made, project_id=demo)
    store.place(image).write_bytes(CONTENT)
    store.commit(made, hashlib.sha256(CONTENT).hexdigest())
    seen = glance.show(keystone.session("alice", "demo"), image)
    assert seen is not None
    assert {key: seen[key] for key in properties} == properties
    assert (seen["name"], seen["owner"], seen["visibility"]) == ("backup", demo, "private")
    assert (seen["status"], seen["size"], seen["min_disk"]) == ("active", len(CONTENT), 3)
    assert seen["os_hash_value"] == hashlib.new(seen["os_hash_algo"], CONTENT).hexdigest()
    assert glance.show(keystone.session("oscar", "other"), image) is None


def test_image_is_shared_with_the_project_that_is_named(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    image = keep(store, visibility="shared", shared_with=keystone.project_id("other"))
    assert glance.show(keystone.session("oscar", "other"), image) is not None
    assert glance.show(keystone.session("alice", "demo"), image) is None


def test_draft_is_gone_when_the_image_has_arrived(store: GlanceImageStore, glance: Glance) -> None:
    image = keep(store)
    assert list(store.drafts.folder.iterdir()) == []
    assert str(image) in glance.files()


def test_bytes_of_somebody_else_are_not_taken_for_ours(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    image = uuid4()
    store.announce(facts(image))
    other = bytes(len(CONTENT))
    keystone.admin.patch(
        f"{glance.url}/v2/images/{image}",
        json=[{"op": "replace", "path": "/disk_format", "value": "raw"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
    )
    media_type = {"Content-Type": "application/octet-stream"}
    keystone.admin.put(f"{glance.url}/v2/images/{image}/file", data=other, headers=media_type)
    with pytest.raises(ImageStoreFault, match="other bytes"):
        commit(store, image, CONTENT)


def test_what_is_no_image_of_its_format_is_refused(store: GlanceImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(CONTENT)
    wrong = replace(facts(image), disk_format="qcow2")
    with pytest.raises(ImageStoreFault, match="415"):
        store.commit(wrong, hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(ImageMissing):
        store.look(image)


def test_image_that_was_deleted_in_glance_cannot_be_filled(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    image = uuid4()
    store.announce(facts(image))
    keystone.admin.delete(f"{glance.url}/v2/images/{image}")
    with pytest.raises(ImageStoreFault, match="was deleted in Glance"):
        commit(store, image, CONTENT)
    store.discard(image)


def test_protected_image_is_seen_as_such_and_stays(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    image = keep(store)
    glance.change(keystone.admin, image, "protected", True)
    assert store.look(image).protected
    with pytest.raises(ImageStoreFault, match="protected"):
        store.discard(image)
    assert read(store, image) == CONTENT
    glance.change(keystone.admin, image, "protected", False)
    store.discard(image)
    assert str(image) not in glance.files()


def test_property_that_glance_keeps_for_itself_is_refused_by_name(store: GlanceImageStore) -> None:
    with pytest.raises(ImageStoreFault, match="checksum"):
        store.announce(facts(uuid4(), properties={"checksum": "0"}))


# --------------------------------------------------------------------------------------------- troubles


def test_upload_that_breaks_off_is_no_image_and_can_be_done_again(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    content = CONTENT * 1024  # 1 MiB
    with Relay(glance.service.port, 256 * 1024, breaks=1) as relay:
        store = store_at(keystone, relay.url, tmp_path / "drafts")
        image = uuid4()
        with pytest.raises(ImageStoreUnavailable):
            commit(store, image, content)
        with pytest.raises(ImageMissing):
            store.look(image)
        assert commit_when_noticed(store, image, content) == len(content)
        assert read(store, image) == content


def commit_when_noticed(store: GlanceImageStore, image: Any, content: bytes) -> int:
    """Return the size of an image that is committed as soon as Glance has noticed that the last upload broke off."""
    for _ in range(50):
        try:
            return commit(store, image, content)
        except ImageStoreUnavailable as fault:
            assert "earlier upload" in str(fault)
    raise AssertionError("Glance never noticed")


def test_glance_that_is_killed_in_the_middle_leaves_no_image_that_counts(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    image = uuid4()

    def kill_while_it_saves() -> None:
        glance.wait_until(image, "saving", keystone.admin)
        glance.service.kill()

    with (
        glance.service.restored(),
        Relay(glance.service.port, 256 * 1024, breaks=1, on_break=kill_while_it_saves) as relay,
    ):
        store = store_at(keystone, relay.url, tmp_path / "drafts")
        with pytest.raises(ImageStoreUnavailable):
            commit(store, image, CONTENT * 1024)
    store = store_at(keystone, glance.url, tmp_path / "drafts")
    assert relay.broken == 1
    with pytest.raises(ImageMissing):
        store.look(image)
    with pytest.raises(ImageStoreUnavailable, match="earlier upload"):
        commit(store, image, CONTENT * 1024)
    store.discard(image)
    assert glance.show(keystone.admin, image) is None


def test_download_that_breaks_off_is_not_taken_for_the_whole(
    store: GlanceImageStore, keystone: Keystone, glance: Glance
) -> None:
    content = CONTENT * 65536  # 64 MiB: more than the buffers between the two hold
    image = keep(store, content)
    chunks = store.open(image)
    received = len(next(chunks))
    with glance.service.restored(), pytest.raises(ImageStoreUnavailable):
        glance.service.kill()
        for chunk in chunks:
            received += len(chunk)
    assert received < len(content)


def test_glance_that_is_down_or_hangs_is_unavailable(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    store = store_at(keystone, glance.url, tmp_path / "drafts", timeout_s=1.0)
    image = keep(store)
    for away in (glance.service.down, glance.service.hanging):
        with away(), pytest.raises(ImageStoreUnavailable):
            store.look(image)
    assert store.look(image).size_bytes == len(CONTENT)


def test_keystone_that_is_down_makes_the_store_unavailable(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    store = store_at(keystone, glance.url, tmp_path / "drafts")
    with keystone.service.down(), pytest.raises(ImageStoreUnavailable):
        store.look(uuid4())


def test_nobody_at_the_address_of_glance(keystone: Keystone, tmp_path: Path) -> None:
    store = store_at(keystone, f"http://127.0.0.1:{free_port()}", tmp_path / "drafts")
    with pytest.raises(ImageStoreUnavailable):
        store.announce(facts(uuid4()))


def test_store_whose_token_is_revoked_gets_another(store: GlanceImageStore, keystone: Keystone) -> None:
    image = keep(store)
    mine = session_of(store.account).get_token()
    keystone.revoke_all("gantry")
    assert read(store, image) == CONTENT
    assert session_of(store.account).get_token() != mine


def test_wrong_password_is_a_fault_that_no_patience_mends(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    store = store_at(keystone, glance.url, tmp_path / "drafts", password="wrong")
    with pytest.raises(ImageStoreFault) as caught:
        store.look(uuid4())
    assert not caught.value.retryable and "wrong" not in str(caught.value)


def test_account_without_the_role_admin_is_told_so(
    keystone: Keystone, glance: Glance, tmp_path: Path
) -> None:
    rights = {"user": "nova", "password": password("nova")}
    store = store_at(keystone, glance.url, tmp_path / "drafts", **rights)
    with pytest.raises(ImageStoreFault, match="403"):
        store.announce(facts(uuid4()))
