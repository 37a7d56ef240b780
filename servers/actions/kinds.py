"""Kinds of parameters. A kind is data: what its values are stands here, and each way in derives from it how it looks there.

REST checks JSON by a schema that is made of the kind. The console and the command `read` what somebody has typed.
`clean` turns a value that has been found to be valid into the one that steps work with.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

TRUE_WORDS = ("True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes")
FALSE_WORDS = ("False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no")
"""What Nova takes for a boolean besides JSON's own (nova/api/validation/parameter_types.py)."""

AUTO = "auto"
LINE = 255
"""Characters that a column keeps of a text (`CharField` of `servers/models`)."""
NOT_KEPT = re.compile("[\0\ud800-\udfff]")
"""What no database keeps: NUL, and half of a surrogate pair."""


@dataclass(frozen=True)
class Kind:
    """What values a parameter takes."""

    @property
    def wanted(self) -> str:
        """Return what a value has to be, in words."""
        raise NotImplementedError

    def fits(self, text: str) -> bool:
        """Return whether a text stands for a value."""
        raise NotImplementedError

    def read(self, text: str) -> Any:
        """Return the value that a text stands for, as JSON has it. Raises ValueError, which says what is wanted."""
        if not self.fits(text):
            raise ValueError(f"It has to be {self.wanted}.")
        return text

    def clean(self, value: Any) -> Any:
        """Return `value` in the form that steps work with."""
        return value


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    values: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return " or ".join(self.values)

    def fits(self, text: str) -> bool:
        return text in self.values


@dataclass(frozen=True)
class Boolean(Kind):
    """True or false, also as one of Nova's words."""

    values: ClassVar[tuple[bool | str, ...]] = (True, *TRUE_WORDS, False, *FALSE_WORDS)
    offered: ClassVar[tuple[str, ...]] = ("true", "false")
    """Those of the words that people are told of."""

    @property
    def wanted(self) -> str:
        return " or ".join(self.offered)

    def fits(self, text: str) -> bool:
        return text in self.values

    def read(self, text: str) -> Any:
        return super().read(text) in TRUE_WORDS

    def clean(self, value: Any) -> bool:
        return value in TRUE_WORDS if isinstance(value, str) else bool(value)


@dataclass(frozen=True)
class BooleanOrAuto(Boolean):
    """A boolean, or "auto": None for the steps, who then decide."""

    values: ClassVar[tuple[bool | str, ...]] = (*Boolean.values, AUTO)
    offered: ClassVar[tuple[str, ...]] = (*Boolean.offered, AUTO)

    def read(self, text: str) -> Any:
        return AUTO if text == AUTO else super().read(text)

    def clean(self, value: Any) -> bool | None:  # type: ignore[override]
        return None if value == AUTO or value is None else super().clean(value)


@dataclass(frozen=True)
class Text(Kind):
    """A string of bounded length."""

    min_length: int = 0
    max_length: int = LINE
    characters: str = ""
    """The set of its characters, as a regular expression; where it is empty, all that a database keeps."""

    @property
    def wanted(self) -> str:
        characters = self.characters or "Unicode, without NUL"
        return f"{self.min_length} to {self.max_length} characters of {characters}"

    def fits(self, text: str) -> bool:
        if not self.min_length <= len(text) <= self.max_length or NOT_KEPT.search(text):
            return False
        return not self.characters or re.fullmatch(f"{self.characters}*", text) is not None


@dataclass(frozen=True)
class HostName(Text):
    """The name of a host."""

    min_length: int = 1
    characters: str = "[a-zA-Z0-9-._]"
    nullable: bool = True


@dataclass(frozen=True)
class Name(Text):
    """Printable characters, without white space at either end."""

    min_length: int = 1

    @property
    def wanted(self) -> str:
        return (
            f"{self.min_length} to {self.max_length} printable characters, without white space at either end"
        )

    def fits(self, text: str) -> bool:
        return super().fits(text) and text == text.strip() and _is_printable(text)

    def clean(self, value: Any) -> str:
        return str(value).strip()


def _is_printable(text: str) -> bool:
    categories = (unicodedata.category(character) for character in text)
    return all(category == "Zs" or category[0] not in "CZ" for category in categories)


@dataclass(frozen=True)
class Secret(Text):
    """A string that is never shown, logged or kept in clear."""

    max_length: int = 4096


@dataclass(frozen=True)
class Count(Kind):
    """A whole number, also as a string of digits."""

    digits: ClassVar[Text] = Text(1, 4000, "[0-9]")
    """Its digits as a string; Python reads at most 4300."""

    @property
    def wanted(self) -> str:
        return f"a whole number of {self.digits.min_length} to {self.digits.max_length} digits"

    def fits(self, text: str) -> bool:
        return self.digits.fits(text)

    def read(self, text: str) -> Any:
        return int(super().read(text))

    def clean(self, value: Any) -> int:
        return int(value)


@dataclass(frozen=True)
class MigrationId(Count):
    """The number of a migration of the server."""

    digits: ClassVar[Text] = Text(1, 18, "[0-9]")  # what a database keeps as a number


@dataclass(frozen=True)
class KeyValues(Kind):
    """Strings by key. As a text, one pair of them is read: key=value."""

    key: ClassVar[Text] = Text(1, LINE, "[a-zA-Z0-9-_:. ]")
    value: ClassVar[Text] = Text()

    @property
    def wanted(self) -> str:
        return f"key=value, with a key of {self.key.wanted} and a value of {self.value.wanted}"

    def fits(self, text: str) -> bool:
        key, equals, value = text.partition("=")
        return bool(equals) and self.key.fits(key) and self.value.fits(value)

    def read(self, text: str) -> Any:
        key, _, value = super().read(text).partition("=")
        return key, value
