"""What every image store promises: a place for finished backups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID


@dataclass(frozen=True)
class ImageFacts:
    """What an image is, apart from its bytes. Sizes as Glance counts them: min_disk in GiB, min_ram in MiB."""

    uuid: UUID
    name: str
    project_id: str
    visibility: str = "private"
    shared_with: str = ""
    """The project that may read it too, where there is one."""
    disk_format: str = "qcow2"
    container_format: str = "bare"
    min_disk: int = 0
    min_ram: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """An image as the store has it. `protected`: the store itself refuses to delete it."""

    size_bytes: int
    protected: bool = False


class ImageStore(ABC):
    """Bytes of images, by their UUID. An image is either there whole, or not there.

    Every verb may raise ImageStoreFault; ImageStoreUnavailable, which is one, when the store does not answer.
    """

    @abstractmethod
    def announce(self, image: ImageFacts) -> None:
        """Make the image known before it has bytes, where others look for it; once is as good as twice."""

    @abstractmethod
    def place(self, image: UUID) -> Path:
        """Return a path on which a driver may write the image; what was left there before is removed."""

    @abstractmethod
    def commit(self, image: ImageFacts, sha256: str) -> int:
        """Make what was written at `place` the image; return its size in bytes.

        Raises ImageStoreFault when it has another SHA-256, or not every byte has arrived: then it is not there. A
        store may refuse other bytes for an image that is there, and takes the same ones twice.
        """

    @abstractmethod
    def discard(self, image: UUID) -> None:
        """Remove the image and whatever was written for it. Does nothing where nothing is left."""

    @abstractmethod
    def open(self, image: UUID, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Return the bytes from `start` up to, not including, `end`. Raises ImageMissing."""

    @abstractmethod
    def look(self, image: UUID) -> Stored:
        """Return what the store has. Raises ImageMissing, also for an image that is not whole."""
