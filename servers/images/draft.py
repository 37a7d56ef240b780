"""What a driver has written, before it is an image: a file that has to be what the driver says it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.errors import ImageStoreFault


def digest(path: Path, algorithm: str) -> str:
    """Return the digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def require_digest(path: Path, sha256: str) -> None:
    """Do nothing when the file has this SHA-256. Raises ImageStoreFault."""
    if digest(path, "sha256") != sha256:
        raise ImageStoreFault(reason="what lies there is not what was written")


@contextmanager
def translated(what: object) -> Iterator[None]:
    """Turn what the file system says into ImageStoreFault."""
    try:
        yield
    except OSError as error:
        raise ImageStoreFault(reason=f"{what}: {error.strerror}") from error
