"""Regular expressions of callers, run by engines whose time grows with the text alone: RE2, and PostgreSQL's automata.

Python's `re` tries one way after the other, and a pattern of a few characters keeps it busy for ever, with the whole
process waiting. On SQLite Django runs a pattern by a function of Python's; `use_re2` puts RE2 in its place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2
from django.db.backends.base.base import BaseDatabaseWrapper

MAX_PATTERN = 255
"""Characters of a pattern: those of a name."""
MAX_PROGRAM_BYTES = 1 << 17
"""Of a compiled pattern; RE2 refuses a larger one. A name of 255 characters takes 0.3 ms at worst."""


def options() -> Any:
    """Return how RE2 compiles: as PostgreSQL does, `.` matches a newline as well."""
    found = re2.Options()
    found.max_mem, found.dot_nl, found.log_errors = MAX_PROGRAM_BYTES, True, False
    return found


PLAIN = re2.compile(
    r"(?:"
    r"(?:[^\\.^$|()\[\]{}*+?]|\.|\)|\\[dswDSW.\-+*?^$|()\[\]{}\\]"  # one character, or the end of a group
    r"|\[\^?(?:[\w @:,;<>=!#%&~/'\"`.]|\\[.\-^\[\]\\]|[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9])+\])"  # one of a set
    r"(?:(?:[*+?]|\{[0-9]{1,2}(?:,(?:[0-9]{1,2})?)?\})\??)?"  # how often
    r"|[\^$|]|\((?:\?:)?"
    r")*"
)
"""What RE2 and PostgreSQL read alike: no back references, no assertions, no flags, no classes by name."""


@lru_cache(maxsize=128)
def compiled(pattern: str) -> Any:
    """Return the compiled pattern. Raises re2.error for one that is none, or too large."""
    return re2.compile(pattern, options())


def is_runnable(pattern: str) -> bool:
    """Return whether every database runs `pattern`, by `__iregex`, in time linear in the text."""
    if len(pattern) > MAX_PATTERN or not PLAIN.fullmatch(pattern):
        return False
    try:
        compiled(f"(?i){pattern}")  # as Django asks SQLite for `__iregex`
    except re2.error:
        return False
    return True


def use_re2(sender: Any, connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """Let RE2 run the patterns of `__regex` and `__iregex` on a connection to SQLite that was just made.

    Receiver of Django's connection_created. What Django has defined under that name is replaced.
    """
    if connection.vendor == "sqlite":
        connection.connection.create_function("REGEXP", 2, searches, deterministic=True)


def searches(pattern: str | None, text: object) -> bool | None:
    """Return whether the text has what the pattern says; None, SQL's NULL, where one of them is. Raises re2.error."""
    if pattern is None or text is None:
        return None
    return compiled(pattern).search(str(text)) is not None
