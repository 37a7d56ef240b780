"""How much of what a host says can be kept: the widths of the records, which a driver does not see."""

from __future__ import annotations

import hashlib

NAME = 255
"""Characters of a name: of a guest, a host, a network, a storage pool."""
TYPE = 32
DEVICE = 32
PATH = 1024
FORMAT = 16
MAC = 17

AMOUNT = 2**31 - 1
"""The largest count: of processors, of MiB, of GiB."""
BYTES = 2**63 - 1


def shortened(text: str, most: int = NAME) -> str:
    """Return an identity that can be kept: of one that is too long the beginning, and a digest that tells it apart."""
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: most - len(digest) - 1]}#{digest}"
