"""Images as files: the promises of every store, and what only files have."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from servers.errors import ImageStoreFault
from servers.images.local import LocalImageStore
from tests.images.contract import CONTENT, ImageStoreContract, commit, facts, keep, read


@pytest.fixture
def store(tmp_path: Path) -> LocalImageStore:
    return LocalImageStore(tmp_path / "images")


class TestLocalImageStore(ImageStoreContract):
    """A folder."""


def test_only_the_owner_can_read_it(store: LocalImageStore) -> None:
    image = keep(store)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((store.folder / str(image)).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("folder", "file"), [(0o2770, 0o660), (0o750, 0o640), (0o777, 0o660), (0o700, 0o600)]
)
def test_files_have_the_rights_that_the_folder_gives_to_owner_and_group(
    store: LocalImageStore, folder: int, file: int
) -> None:
    store.folder.chmod(folder)
    store.identify()
    for name in (str(keep(store)), "store-id"):
        assert stat.S_IMODE((store.folder / name).stat().st_mode) == file


def test_file_is_named_by_its_uuid_alone(store: LocalImageStore) -> None:
    wrong: Any = "../escape"
    with pytest.raises(ValueError, match="badly formed"):
        store.place(wrong)
    image = keep(store)
    assert [path.name for path in store.folder.iterdir()] == [str(image)]


def test_reading_that_has_begun_goes_on_when_the_image_is_discarded(store: LocalImageStore) -> None:
    image = keep(store)
    chunks = store.open(image)
    store.discard(image)
    assert b"".join(chunks) == CONTENT


def test_reading_that_is_given_up_lets_go_of_the_file(store: LocalImageStore) -> None:
    part: Any = store.open(keep(store))
    part.close()
    assert list(part) == []


def test_what_was_written_is_on_the_disk_before_it_has_its_name(
    store: LocalImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, done = uuid4(), []
    store.place(image).write_bytes(b"x")
    monkeypatch.setattr("servers.images.local.os.fsync", lambda fd: done.append("sync"))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: done.append("rename") or rename(self, to))
    store.commit(facts(image), hashlib.sha256(b"x").hexdigest())
    assert done == ["sync", "rename", "sync"]


def test_trouble_with_the_disk_is_a_fault_of_the_store(
    store: LocalImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = keep(store)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    store.place(image).write_bytes(b"x")
    monkeypatch.setattr("servers.images.local.os.fsync", full)
    with pytest.raises(ImageStoreFault, match="No space left"):
        store.commit(facts(image), hashlib.sha256(b"x").hexdigest())
    assert read(store, image) == CONTENT


def test_folder_that_cannot_be_made_is_a_fault_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImageStoreFault):
        LocalImageStore(tmp_path / "file" / "images")


def test_second_attempt_takes_the_place_of_the_first_when_it_is_whole(store: LocalImageStore) -> None:
    image = keep(store, b"first")
    store.place(image).write_bytes(b"second one")
    assert read(store, image) == b"first"
    assert commit(store, image, b"second one") == 10 and read(store, image) == b"second one"
