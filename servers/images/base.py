"""What every image store promises: a place for finished backups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID


class ImageStore(ABC):
    """Bytes of images, by their UUID. A file is either there whole, or not there."""

    @abstractmethod
    def place(self, image: UUID) -> Path:
        """Return a path on which a driver may write the image; what was left there before is removed."""

    @abstractmethod
    def commit(self, image: UUID) -> int:
        """Make what was written at `place` the image; return its size in bytes. Raises ImageStoreFault."""

    @abstractmethod
    def discard(self, image: UUID) -> None:
        """Remove the image and whatever was written for it. Does nothing where nothing is left."""

    @abstractmethod
    def open(self, image: UUID, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Return the bytes from `start` up to, not including, `end`. Raises ImageMissing."""

    @abstractmethod
    def size(self, image: UUID) -> int:
        """Return the size in bytes. Raises ImageMissing."""
