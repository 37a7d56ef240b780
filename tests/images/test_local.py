"""Images as files: whole, or not there."""

from __future__ import annotations

import stat
from pathlib import Path
from uuid import uuid4

import pytest

from servers.errors import ImageMissing, ImageStoreFault
from servers.images.local import LocalImageStore


@pytest.fixture
def store(tmp_path: Path) -> LocalImageStore:
    return LocalImageStore(tmp_path / "images")


def test_image_is_there_only_when_it_is_whole(store: LocalImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(b"half")
    with pytest.raises(ImageMissing):
        store.size(image)
    assert store.commit(image) == 4
    assert b"".join(store.open(image)) == b"half"


def test_what_was_left_of_an_earlier_attempt_is_removed(store: LocalImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(b"old")
    assert not store.place(image).exists()


def test_commit_of_nothing_is_refused(store: LocalImageStore) -> None:
    with pytest.raises(ImageStoreFault):
        store.commit(uuid4())


def test_only_the_owner_can_read_it(store: LocalImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(b"secret")
    store.commit(image)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / str(image)).stat().st_mode) == 0o600


def test_part_is_read_without_the_rest(store: LocalImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(b"0123456789")
    store.commit(image)
    assert b"".join(store.open(image, 2, 5)) == b"234"


def test_discard_twice_is_as_good_as_once(store: LocalImageStore) -> None:
    image = uuid4()
    store.place(image).write_bytes(b"x")
    store.commit(image)
    store.discard(image)
    store.discard(image)
    with pytest.raises(ImageMissing):
        store.open(image)
