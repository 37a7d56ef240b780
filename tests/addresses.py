"""Every address that there is: each pattern of the URL configuration, filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

SOMETHING = "1"


def addresses(known: Mapping[str, str] = {}) -> list[str]:
    """Return an address for each pattern, and for each of its forms; what is not `known` by name is filled with 1."""
    return sorted({f"/{form}" for form in walk(get_resolver().url_patterns, known)})


def walk(patterns: Iterable[URLPattern | URLResolver], known: Mapping[str, str]) -> Iterator[str]:
    for pattern in patterns:
        for start in forms(pattern.pattern.regex.pattern, known):
            if isinstance(pattern, URLResolver):
                yield from (start + rest for rest in walk(pattern.url_patterns, known))
            else:
                yield start


def forms(regex: str, known: Mapping[str, str]) -> list[str]:
    return [form % {name: known.get(name, SOMETHING) for name in names} for form, names in normalize(regex)]
