"""UUIDs as they are written in URLs and on the command line."""

from __future__ import annotations

from uuid import UUID


def uuid_of(text: object) -> UUID:
    """Return the UUID that `text` spells with hyphens, in letters of either case.

    Raises ValueError for anything else, also for braces, `urn:` and missing hyphens, which Python would
    accept.
    """
    found = UUID(str(text))
    if str(found) != str(text).lower():
        raise ValueError(f"{text!r} is an odd spelling of {found}")
    return found
