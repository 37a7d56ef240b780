"""Images as files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from servers.errors import ImageMissing, ImageStoreFault
from servers.images.base import ImageStore

CHUNK_BYTES = 1024 * 1024


class LocalImageStore(ImageStore):
    """A folder that only its owner reads; an image has its name only when it is whole."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _path(self, image: UUID) -> Path:
        return self.folder / str(UUID(str(image)))

    def _draft(self, image: UUID) -> Path:
        return self._path(image).with_suffix(".part")

    def place(self, image: UUID) -> Path:
        self._draft(image).unlink(missing_ok=True)
        return self._draft(image)

    def commit(self, image: UUID) -> int:
        draft = self._draft(image)
        try:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.chmod(0o600)
            draft.rename(self._path(image))
        except OSError as error:
            raise ImageStoreFault(reason=f"image {image} was not written: {error.strerror}") from error
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self.size(image)

    def discard(self, image: UUID) -> None:
        self._path(image).unlink(missing_ok=True)
        self._draft(image).unlink(missing_ok=True)

    def open(self, image: UUID, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        left = (self.size(image) if end is None else end) - start
        return self._chunks(image, start, left)

    def _chunks(self, image: UUID, start: int, left: int) -> Iterator[bytes]:
        with self._path(image).open("rb") as file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk

    def size(self, image: UUID) -> int:
        try:
            return self._path(image).stat().st_size
        except FileNotFoundError as error:
            raise ImageMissing(image=image) from error
