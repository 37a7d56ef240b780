"""Words for true and false in a query."""

from __future__ import annotations

from servers.errors import Invalid

TRUE_WORDS = {"1", "t", "true", "on", "y", "yes"}
FALSE_WORDS = {"0", "f", "false", "off", "n", "no"}
"""What oslo.utils takes for a boolean in a query."""


class UnknownBoolean(Invalid):
    """Invalid input received: Unrecognized value '{value}', acceptable values are: {words}"""


def is_true(text: str) -> bool:
    """Return whether `text` is a word for true."""
    return text.strip().lower() in TRUE_WORDS


def boolean(text: str) -> bool:
    """Return what `text` means; a key without a value means true. Raises UnknownBoolean."""
    if text and text.strip().lower() not in TRUE_WORDS | FALSE_WORDS:
        words = ", ".join(f"'{word}'" for word in sorted(TRUE_WORDS | FALSE_WORDS))
        raise UnknownBoolean(value=text, words=words)
    return not text or is_true(text)
