"""Images as files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

from servers.errors import ImageMissing
from servers.images.base import ImageFacts, ImageStore, Stored
from servers.images.draft import require_digest, translated

CHUNK_BYTES = 1024 * 1024
IDENTITY = "store-id"
"""The file in which a folder says which store it is, on whatever path a machine has it."""


class LocalImageStore(ImageStore):
    """A folder that only its owner reads, or its group too where it was made so; an image has its name only when it is whole."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        with translated(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def identity(self) -> str | None:
        """Return which store this is, None when the folder has not been made one yet. Raises ImageStoreFault."""
        with translated(self.folder):
            try:
                return (self.folder / IDENTITY).read_text().strip() or None
            except FileNotFoundError:
                return None

    def identify(self) -> str:
        """Return which store this is; give the folder an identity when it has none. Raises ImageStoreFault."""
        with translated(self.folder):
            draft = self.folder / f".{IDENTITY}.{uuid4()}"
            draft.write_text(f"{uuid4()}\n")
            self._share(draft)
            try:
                sync(draft)
                os.link(draft, self.folder / IDENTITY)
                sync(self.folder)
            except FileExistsError:
                pass  # of several processes one is the first
            finally:
                draft.unlink()
        return self.identity() or ""

    def _share(self, path: Path) -> None:
        """Give a file the rights of the folder: those of its owner, and of its group, and nobody else's."""
        path.chmod(0o600 | (self.folder.stat().st_mode & 0o060))

    def _path(self, image: UUID) -> Path:
        return self.folder / str(UUID(str(image)))

    def draft(self, image: UUID) -> Path:
        """Return the path on which `place` lets an image be written."""
        return self._path(image).with_suffix(".part")

    def place(self, image: UUID) -> Path:
        with translated(image):
            self.draft(image).unlink(missing_ok=True)
        return self.draft(image)

    def announce(self, image: ImageFacts) -> None:
        """Do nothing: who looks for the image finds the record."""

    def commit(self, image: ImageFacts, sha256: str) -> int:
        draft = self.draft(image.uuid)
        with translated(image.uuid):
            self._share(draft)
            require_digest(draft, sha256)
            sync(draft)
            draft.rename(self._path(image.uuid))
            sync(self.folder)
        return self.look(image.uuid).size_bytes

    def discard(self, image: UUID) -> None:
        with translated(image):
            self._path(image).unlink(missing_ok=True)
            self.draft(image).unlink(missing_ok=True)

    def open(self, image: UUID, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with translated(image), present(image):
            return Part(self._path(image), start, end)

    def look(self, image: UUID) -> Stored:
        with translated(image), present(image):
            return Stored(self._path(image).stat().st_size)


class Part(Iterator[bytes]):
    """Bytes of a file, to be read or in chunks; the file is open from the start, so that removing it breaks no reading."""

    def __init__(self, path: Path, start: int, end: int | None) -> None:
        self._file = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self._start, self._end = start, max(start, min(size, size if end is None else end))
        self.seek(0)

    def __next__(self) -> bytes:
        chunk = self.read(CHUNK_BYTES)
        if not chunk:
            self.close()
            raise StopIteration
        return chunk

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` of them where that is not negative; none at the end."""
        if self._file.closed:
            return b""
        left = max(self._end - self._file.tell(), 0)
        return self._file.read(left if size < 0 else min(size, left))

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        """Return where in the part the next byte is read."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read on at another byte of the part; return which."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(base + offset) - self._start

    def close(self) -> None:
        """Let go of the file; there is nothing more to read."""
        self._file.close()


def sync(path: Path) -> None:
    """Wait until what was written is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def present(image: UUID) -> Iterator[None]:
    """Turn a file that is not there into ImageMissing."""
    try:
        yield
    except FileNotFoundError as error:
        raise ImageMissing(image=image) from error
