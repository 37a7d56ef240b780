"""The bytes of an image: whole, in part, and never when they are not all there."""

from __future__ import annotations

import hashlib
import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from servers.api.image import download
from servers.models import Image, Project
from tests.api.image.storing import CONTENT, stored
from tests.factories import make_image

pytestmark = pytest.mark.django_db


def test_download_gives_the_bytes(member: Any, project: Project) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file")
    assert b"".join(response.streaming_content) == CONTENT
    assert response["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("header", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-4", 1020, 1024)]
)
def test_part_of_an_image_is_downloaded(
    member: Any, project: Project, header: str, start: int, end: int
) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range=header)
    assert response.status_code == 206
    assert b"".join(response.streaming_content) == CONTENT[start:end]
    assert response["Content-Range"] == f"bytes {start}-{end - 1}/1024"


def test_range_behind_the_end_cannot_be_satisfied(member: Any, project: Project) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range="bytes=2000-")
    assert response.status_code == 416 and response["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-9999", "bytes=-9999"])
def test_part_that_is_the_whole_is_still_a_part(member: Any, project: Project, header: str) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range=header)
    assert response.status_code == 206 and response["Content-Range"] == "bytes 0-1023/1024"


@pytest.mark.parametrize(
    "header", ["bytes=5-2", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=x-", "bytes"]
)
def test_range_that_makes_no_sense_is_passed_over(member: Any, project: Project, header: str) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range=header)
    assert response.status_code == 200 and b"".join(response.streaming_content) == CONTENT


def test_last_nothing_of_an_image_cannot_be_had(member: Any, project: Project) -> None:
    assert member.get(f"/image/v2/images/{stored(project).pk}/file", Range="bytes=-0").status_code == 416


@pytest.mark.parametrize("part", ["", "bytes=0-9"])
def test_checksum_of_the_whole_image_goes_with_every_part(member: Any, project: Project, part: str) -> None:
    response = member.get(f"/image/v2/images/{stored(project).pk}/file", Range=part)
    digest = response["Repr-Digest"].removeprefix("sha-256=:").removesuffix(":")
    assert b64decode(digest) == hashlib.sha256(CONTENT).digest()
    assert response["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'


def test_rest_of_other_bytes_is_not_given(member: Any, project: Project) -> None:
    path = f"/image/v2/images/{stored(project).pk}/file"
    tag = member.get(path)["ETag"]
    assert member.get(path, Range="bytes=9-", If_Range=tag).status_code == 206
    assert member.get(path, Range="bytes=9-", If_Range='"of something else"').status_code == 200


def test_head_says_how_large_it_is_and_opens_nothing(
    member: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = stored(project)
    monkeypatch.setattr(download, "open_image", None)
    response = member.request("HEAD", f"/image/v2/images/{image.pk}/file")
    assert (response.status_code, response["Content-Length"]) == (200, "1024")


@pytest.mark.parametrize("status", ["queued", "saving", "killed"])
def test_image_that_is_not_active_has_no_bytes(member: Any, project: Project, status: str) -> None:
    image = make_image(project, status=status, size_bytes=None)
    response = member.get(f"/image/v2/images/{image.pk}/file")
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("part", ["", "bytes=0-3"])
def test_image_whose_bytes_are_lost_is_not_there(member: Any, project: Project, part: str) -> None:
    image = stored(project)
    (settings.IMAGE_DIR / str(image.pk)).unlink()
    assert member.get(f"/image/v2/images/{image.pk}/file", Range=part).status_code == 404


def test_foreign_image_is_not_downloaded_and_a_public_one_is(stranger: Any, project: Project) -> None:
    private, public = stored(project), stored(project, visibility="public")
    assert stranger.get(f"/image/v2/images/{private.pk}/file").status_code == 404
    assert stranger.get(f"/image/v2/images/{public.pk}/file").status_code == 200


def test_large_image_is_never_in_memory_as_a_whole(
    member: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64 * 1024 * 1024

    def pieces(image: Image, start: int, end: int) -> Iterator[bytes]:
        return (bytes(1024 * 1024) for _ in range((end - start) // (1024 * 1024)))

    monkeypatch.setattr(download, "open_image", pieces)
    image = make_image(project, size_bytes=size)
    tracemalloc.start()
    response: Any = member.get(f"/image/v2/images/{image.pk}/file")
    assert sum(map(len, response.streaming_content)) == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4
