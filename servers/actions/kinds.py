"""Kinds of parameters. A kind is data; each door says in one place how it looks there.

`clean` turns a value that the door has found to be valid into the one that steps work with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

TRUE_WORDS = ("True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes")
FALSE_WORDS = ("False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no")
"""What Nova takes for a boolean besides JSON's own (nova/api/validation/parameter_types.py)."""


@dataclass(frozen=True)
class Kind:
    """What values a parameter takes."""

    def clean(self, value: Any) -> Any:
        """Return `value` in the form that steps work with."""
        return value


@dataclass(frozen=True)
class Boolean(Kind):
    """True or false, also as one of Nova's words."""

    def clean(self, value: Any) -> bool:
        return value in TRUE_WORDS if isinstance(value, str) else bool(value)


@dataclass(frozen=True)
class BooleanOrAuto(Boolean):
    """A boolean, or "auto": None for the steps, who then decide."""

    def clean(self, value: Any) -> bool | None:  # type: ignore[override]
        return None if value == "auto" or value is None else super().clean(value)


@dataclass(frozen=True)
class HostName(Kind):
    """The name of a host: 1 to `max_length` of A-Z a-z 0-9 - . _"""

    nullable: bool = True
    max_length: ClassVar[int] = 255
    characters: ClassVar[str] = "[a-zA-Z0-9-._]"
    """One character of it, as a regular expression."""


@dataclass(frozen=True)
class Name(Kind):
    """1 to `max_length` printable characters without white space at either end."""

    max_length: ClassVar[int] = 255

    def clean(self, value: Any) -> str:
        return str(value).strip()


@dataclass(frozen=True)
class Text(Kind):
    """A string of bounded length."""

    min_length: int = 0
    max_length: int | None = None
    nullable: bool = False


@dataclass(frozen=True)
class Secret(Kind):
    """A string that is never shown, logged or kept in clear."""


@dataclass(frozen=True)
class Count(Kind):
    """A whole number, also as a string of digits."""

    minimum: int = 0

    def clean(self, value: Any) -> int:
        return int(value)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class KeyValues(Kind):
    """Strings by key: keys of 1 to `max_length` of A-Z a-z 0-9 - _ : . and blank, values of at most as many characters."""

    max_length: ClassVar[int] = 255
    key_characters: ClassVar[str] = "[a-zA-Z0-9-_:. ]"
    """One character of a key, as a regular expression."""


@dataclass(frozen=True)
class MigrationId(Kind):
    """The number of a migration of the server."""

    def clean(self, value: Any) -> int:
        return int(value)
