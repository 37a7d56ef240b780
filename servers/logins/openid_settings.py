"""What an operator says of his OpenID provider, as far as its form goes: `project/settings.py` reads it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

ROLES = ("admin", "manager", "member", "reader")


class Grant(NamedTuple):
    """A role that a group of the provider's gives: in a project, or in the system where `project` is empty."""

    group: str
    role: str
    project: str = ""
    domain: str = "Default"


def is_private(address: str) -> bool:
    """Return whether nobody on the way reads what is said to an address: it is https, or this machine's own."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return host != ""
    return parts.scheme == "http" and is_loopback(host)


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def grants_in(text: str) -> tuple[Grant, ...]:
    """Return what a file says that groups give, a list in YAML. Raises ValueError for what cannot be meant."""
    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise ValueError("must be a list with at least one row")
    return tuple(grant_of(number, row) for number, row in enumerate(rows, start=1))


def grant_of(number: int, row: Any) -> Grant:
    """Return one row. Raises ValueError, which names it."""
    if not isinstance(row, dict) or not all(isinstance(word, str) and word for word in row.values()):
        raise ValueError(f"row {number} must be names with texts")
    unknown = sorted(map(str, row.keys() - {"group", "role", "project", "domain", "system"}))
    if unknown:
        raise ValueError(f"row {number} has {', '.join(unknown)}, which mean nothing")
    if "group" not in row or row.get("role") not in ROLES:
        raise ValueError(f"row {number} must have a group, and a role among {', '.join(ROLES)}")
    if ("project" in row) is (row.get("system") == "all") or ("domain" in row and "project" not in row):
        raise ValueError(f"row {number} must have a project, perhaps of a domain, or else system: all")
    return Grant(**{name: word for name, word in row.items() if name != "system"})
