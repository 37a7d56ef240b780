"""What every database can keep: PostgreSQL takes no NUL and no half of a surrogate pair, in text or in JSON."""

from __future__ import annotations

from typing import Any


def storable(value: Any) -> bool:
    """Return whether a text, or a value of JSON with all that is in it, can be kept."""
    match value:
        case None | bool():
            return True
        case str():
            return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
        case int() | float():
            return abs(value) < 2**63
        case list() | tuple():
            return all(storable(each) for each in value)
        case dict():
            return all(isinstance(key, str) and storable(key) for key in value) and storable(
                list(value.values())
            )
        case _:
            return False
