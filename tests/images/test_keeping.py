"""Backups and the store: what is lost there does not count, and what it did not let go of is tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from servers.clock import VirtualClock
from servers.engine.images import delete_image, discard_left
from servers.errors import ImageStoreFault, ImageStoreUnavailable
from servers.images.local import LocalImageStore
from servers.models import ActionRecord, Image, Server
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet


def back_up(fleet: SmallFleet, server: Server, clock: VirtualClock, name: str, keep: int) -> ActionRecord:
    """Return the record of a backup that is over."""
    clock.sleep(60)
    return fleet.do("create-backup", server, name=name, backup_type="daily", rotation=keep)


def bytes_of(image: Image) -> Path:
    return Path(settings.IMAGE_DIR) / str(image.pk)


def names() -> list[str]:
    return list(Image.objects.filter(status="active").order_by("created_at").values_list("name", flat=True))


def test_backup_that_was_lost_does_not_push_out_one_that_is_there(
    fleet: SmallFleet, virtual_clock: VirtualClock
) -> None:
    server = fleet.add_server()
    for name in "abc":
        back_up(fleet, server, virtual_clock, name, 3)
    bytes_of(Image.objects.get(name="c")).unlink()
    back_up(fleet, server, virtual_clock, "d", 3)
    assert names() == ["a", "b", "d"]


def test_nothing_is_deleted_where_not_even_the_new_backup_is_found(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    back_up(fleet, server, virtual_clock, "old", 1)
    commit = LocalImageStore.commit

    def lose(self: LocalImageStore, *given: Any) -> int:
        size = commit(self, *given)
        for path in self.folder.iterdir():
            path.rename(path.with_suffix(".elsewhere"))
        return size

    monkeypatch.setattr(LocalImageStore, "commit", lose)
    assert back_up(fleet, server, virtual_clock, "new", 1).status == ActionStatus.FAILED
    assert names() == ["old"]


def test_store_that_is_away_for_a_while_does_not_fail_the_backup(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, commit, asked = fleet.add_server(), LocalImageStore.commit, []

    def away_twice(self: LocalImageStore, *given: Any) -> int:
        asked.append(given)
        if len(asked) <= 2:
            raise ImageStoreUnavailable(reason="ConnectFailure")
        return commit(self, *given)

    monkeypatch.setattr(LocalImageStore, "commit", away_twice)
    assert back_up(fleet, server, virtual_clock, "a", 1).status == ActionStatus.SUCCEEDED
    assert names() == ["a"] and len(asked) == 3


def test_what_the_store_does_not_let_go_of_is_tried_again(
    fleet: SmallFleet, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fleet.add_server()
    back_up(fleet, server, virtual_clock, "a", 1)
    old = Image.objects.get(name="a")

    def refuse(self: LocalImageStore, image: UUID) -> None:
        raise ImageStoreFault(reason="not now")

    with monkeypatch.context() as patched:
        patched.setattr(LocalImageStore, "discard", refuse)
        assert back_up(fleet, server, virtual_clock, "b", 1).status == ActionStatus.SUCCEEDED
        assert discard_left() == 1
    old.refresh_from_db()
    assert (old.status, old.discarded_at, bytes_of(old).exists()) == ("deleted", None, True)
    assert (discard_left(), discard_left()) == (1, 0)
    assert not bytes_of(old).exists()


def test_image_that_the_store_has_lost_can_be_deleted(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    back_up(fleet, fleet.add_server(), virtual_clock, "a", 1)
    image = Image.objects.get()
    bytes_of(image).unlink()
    delete_image(image, fleet.context())
    image.refresh_from_db()
    assert image.status == "deleted" and image.discarded_at is not None
