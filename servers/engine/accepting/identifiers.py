"""UUIDs as they are written in addresses."""

from __future__ import annotations

from uuid import UUID


def uuid_of(text: object) -> UUID:
    """Return the UUID that stands there in the usual spelling. Raises ValueError for braces, urn: and no hyphens."""
    found = UUID(str(text))
    if str(found) != str(text).lower():
        raise ValueError(f"{text!r} is an odd spelling of {found}")
    return found
