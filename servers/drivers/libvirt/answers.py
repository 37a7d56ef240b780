"""Reading what libvirt answers, as far as it can be kept: everything else is Unreadable, and no fate of anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from lxml import etree

from servers.drivers.libvirt.errors import Unreadable
from servers.drivers.limits import BYTES
from servers.errors import printable

Node: TypeAlias = etree._Element


def tree(xml: object) -> Node:
    """Return the root of a description; nothing outside of it is read. Raises Unreadable."""
    if not isinstance(xml, str):
        raise Unreadable("a description that is no text")
    try:
        return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError) as error:  # the latter: it claims an encoding, or is no Unicode
        raise Unreadable(f"a description that is no XML: {error}") from None


def text(found: object, what: str, most: int) -> str:
    """Return a text that can be kept as it is, and is empty where there is none. Raises Unreadable."""
    if found is None:
        return ""
    if not isinstance(found, str) or found != printable(found, most):
        raise Unreadable(f"a {what} that cannot be kept: {found!r}")
    return found


def amount(found: object, what: str, most: int) -> int:
    """Return a number from 0 to `most`; texts of digits are numbers. Raises Unreadable."""
    digits = isinstance(found, str) and len(found) <= 20 and found.strip().isdecimal()
    number = int(str(found)) if digits else found
    if not isinstance(number, int) or not 0 <= number <= most:
        raise Unreadable(f"a {what} that cannot be one: {found!r}")
    return number


def amounts(found: object, what: str, count: int) -> list[int]:
    """Return the first `count` numbers of a list. Raises Unreadable."""
    if not isinstance(found, Sequence) or isinstance(found, str) or len(found) < count:
        raise Unreadable(f"a {what} that cannot be one: {found!r}")
    return [amount(number, what, BYTES) for number in found[:count]]


def counter(statistics: Mapping[str, Any], name: str, most: int = BYTES) -> int:
    """Return a counter of a job: libvirt leaves out what it does not count, and what it cannot have counted is 0."""
    found = statistics.get(name, 0)
    return found if isinstance(found, int) and 0 <= found <= most else 0
