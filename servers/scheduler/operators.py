"""The operators of flavor extra specs: `>= 4`, `s== kvm`, `<in> avx2`, `<or> kvm <or> qemu` (nova extra_specs_ops.py)."""

from __future__ import annotations

import operator
from collections.abc import Callable

NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge,  # Nova's "=" has always meant "at least"
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
TEXTUAL: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
    "<in>": operator.contains,
}


def matches(value: object, wanted: str) -> bool:
    """Return whether `value` is as `wanted` says; without an operator both must be the same text.

    Unlike Nova, where it ends the request, a number that is none matches nothing.
    """
    text = str(value)
    first, *words = wanted.split() or [""]
    if first == "<or>":
        return text in words[::2]
    if first == "<all-in>":
        return bool(words) and all(word in text for word in words)
    if first in TEXTUAL:
        return bool(words) and TEXTUAL[first](text, words[0])
    if first in NUMERIC:
        return bool(words) and _compare(NUMERIC[first], text, words[0])
    return text == wanted


def _compare(compare: Callable[[float, float], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False
