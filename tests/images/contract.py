"""What every image store has to keep of the promises in `servers/images/base.py`, wherever the bytes lie.

A test module makes a fixture `store` and a subclass of ImageStoreContract.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from servers.errors import ImageMissing, ImageStoreFault
from servers.images.base import ImageFacts, ImageStore

CONTENT = bytes(range(256)) * 4


def facts(image: UUID, **more: Any) -> ImageFacts:
    """Return what a record says of an image."""
    return ImageFacts(image, "backup", "demo", disk_format="raw", **more)


def commit(store: ImageStore, image: UUID, content: bytes, **more: Any) -> int:
    """Write an image and make it one; return its size."""
    store.place(image).write_bytes(content)
    return store.commit(facts(image, **more), hashlib.sha256(content).hexdigest())


def keep(store: ImageStore, content: bytes = CONTENT, **more: Any) -> UUID:
    """Return a new image with this content."""
    image = uuid4()
    assert commit(store, image, content, **more) == len(content)
    return image


def read(store: ImageStore, image: UUID, start: int = 0, end: int | None = None) -> bytes:
    """Return bytes of an image, all at once."""
    return b"".join(store.open(image, start, end))


class ImageStoreContract:
    """The promises, one by one."""

    def test_what_was_written_is_read(self, store: ImageStore) -> None:
        image = keep(store)
        assert read(store, image) == CONTENT and store.look(image).size_bytes == len(CONTENT)

    def test_image_is_there_only_when_it_is_whole(self, store: ImageStore) -> None:
        image = uuid4()
        store.announce(facts(image))
        store.place(image).write_bytes(b"half")
        for ask in (store.look, store.open):
            with pytest.raises(ImageMissing):
                ask(image)
        assert store.commit(facts(image), hashlib.sha256(b"half").hexdigest()) == 4

    def test_announced_twice_is_announced_once(self, store: ImageStore) -> None:
        image = uuid4()
        store.announce(facts(image))
        store.announce(facts(image))
        assert commit(store, image, b"content") == 7

    def test_image_that_was_announced_in_another_format_takes_the_one_it_has(self, store: ImageStore) -> None:
        image = uuid4()
        store.announce(replace(facts(image), disk_format="qcow2"))
        assert commit(store, image, CONTENT) == len(CONTENT)

    def test_what_was_left_of_an_earlier_attempt_is_removed(self, store: ImageStore) -> None:
        image = uuid4()
        store.place(image).write_bytes(b"old")
        assert not store.place(image).exists()

    def test_second_attempt_with_the_same_bytes_changes_nothing(self, store: ImageStore) -> None:
        image = keep(store)
        assert commit(store, image, CONTENT) == len(CONTENT)
        assert read(store, image) == CONTENT

    def test_second_attempt_with_other_bytes_is_refused_or_takes_the_place_of_the_first(
        self, store: ImageStore
    ) -> None:
        image = keep(store, b"first")
        expected = b"second one"
        try:
            commit(store, image, expected)
        except ImageStoreFault:
            expected = b"first"
        assert read(store, image) == expected

    def test_commit_of_nothing_is_refused(self, store: ImageStore) -> None:
        with pytest.raises(ImageStoreFault):
            store.commit(facts(uuid4()), hashlib.sha256(b"").hexdigest())

    def test_what_is_not_what_the_driver_wrote_is_refused(self, store: ImageStore) -> None:
        image = uuid4()
        store.place(image).write_bytes(b"truncated")
        with pytest.raises(ImageStoreFault, match="not what was written"):
            store.commit(facts(image), hashlib.sha256(b"truncated and more").hexdigest())
        with pytest.raises(ImageMissing):
            store.look(image)

    def test_empty_image_is_an_image(self, store: ImageStore) -> None:
        image = keep(store, b"")
        assert read(store, image) == b"" and store.look(image).size_bytes == 0

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 1), (0, 1024), (1, 2), (1000, None), (1023, 1024), (5, 5), (9, 3), (0, 9999), (2000, None)],
    )
    def test_part_is_what_a_slice_would_be(self, store: ImageStore, start: int, end: int | None) -> None:
        assert read(store, keep(store), start, end) == CONTENT[start:end]

    def test_large_image_comes_in_pieces(self, store: ImageStore) -> None:
        content = CONTENT * 4096  # 4 MiB
        pieces = list(store.open(keep(store, content)))
        assert b"".join(pieces) == content and len(pieces) > 1

    def test_discarded_image_is_gone_and_no_other(self, store: ImageStore) -> None:
        image, other = keep(store), keep(store, b"other")
        store.discard(image)
        with pytest.raises(ImageMissing):
            store.open(image)
        assert read(store, other) == b"other"

    def test_discard_takes_what_was_half_written(self, store: ImageStore) -> None:
        image = uuid4()
        draft = store.place(image)
        draft.write_bytes(b"half")
        store.discard(image)
        assert not draft.exists()

    def test_discard_twice_is_as_good_as_once(self, store: ImageStore) -> None:
        image = keep(store)
        store.discard(image)
        store.discard(image)

    @pytest.mark.parametrize("part", [(0, None), (0, 10), (5, 5)])
    def test_image_that_is_not_there_is_said_so_at_once(
        self, store: ImageStore, part: tuple[int, int | None]
    ) -> None:
        with pytest.raises(ImageMissing):
            store.open(uuid4(), *part)
