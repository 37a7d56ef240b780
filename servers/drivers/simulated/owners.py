"""To whom belongs what a move or a backup has made: it is written beside it, and what is somebody else's is left alone."""

from __future__ import annotations

import sqlite3
from enum import StrEnum

from servers.drivers.base import Fence, Guest, HostRef
from servers.errors import BelongsToAnother

ANYBODY = "*"
"""The owner of what a store of an earlier version has, which did not say it."""


class Role(StrEnum):
    """What the guest is on a host to the move that is written beside it."""

    NONE = ""
    PREPARED = "prepared"
    """The host was made ready for it; it has never run here."""
    MOVING = "moving"
    """It is being moved live."""
    LEAVING = "leaving"
    """It was shut down here, to be started on another host."""
    ARRIVED = "arrived"
    """It came here shut down; the copy it comes from is kept until the move is confirmed."""
    MADE = "made"
    """It was made here out of a backup."""
    ENDED = "ended"
    """The move is over, and its late calls are refused."""


def is_mine(owner: str, fence: Fence) -> bool:
    """Return whether what has this owner belongs to the one who asks."""
    return owner in {str(fence.owner), ANYBODY}


def of_guest(found: sqlite3.Row | None) -> str:
    """Return to whom a guest on a host belongs, empty where it is nobody's: a move that is over has none."""
    return "" if found is None or found["role"] == Role.ENDED else found["owner"]


def check(owner: str, fence: Fence, host: HostRef, guest: Guest) -> None:
    """Raise BelongsToAnother for what has an owner who is not the one who asks."""
    if owner and not is_mine(owner, fence):
        raise BelongsToAnother(host=host.name, guest=guest.name, owner=owner, asked=str(fence.owner))


def give(db: sqlite3.Connection, host: str, guest: Guest, fence: Fence, role: Role) -> None:
    """Write beside the guest on this host to which move it belongs, and what it is to it."""
    owner = str(fence.owner) if role is not Role.NONE else ""
    db.execute(
        "UPDATE guest SET owner = ?, role = ? WHERE host = ? AND uuid = ?",
        (owner, role, host, str(guest.uuid)),
    )


def give_disks(db: sqlite3.Connection, host: str, uuid: str, owner: str) -> None:
    """Write to whom the guest's disks on this host belong: nobody where it is at home, else the move that leaves them."""
    db.execute("UPDATE disk SET owner = ? WHERE host = ? AND guest = ?", (owner, host, uuid))


def of_disks(db: sqlite3.Connection, host: str, guest: Guest) -> str:
    """Return to whom the guest's disks on this host belong, empty where nothing says so."""
    found = db.execute(
        "SELECT owner FROM disk WHERE host = ? AND guest = ? AND owner != ''", (host, str(guest.uuid))
    ).fetchone()
    return found["owner"] if found else ""
