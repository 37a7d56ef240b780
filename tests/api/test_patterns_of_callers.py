"""A pattern finds the same on every database."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.models import Server
from servers.patterns import compiled, is_runnable
from tests.factories import make_server

NAMES = ["", "a", "ab", "aab", "Web-1", "web.example.org", "x[1]{2}", "a|b", "(^$)", "a\\b", "a-b_c d"]
PARTS = [
    "a",
    "b",
    "A",
    "-",
    ".",
    "^",
    "$",
    "|",
    "(",
    "(?:",
    ")",
    "*",
    "+",
    "?",
    "{1}",
    "{0,2}",
    "{2,}",
    "[ab]",
]
PARTS += [
    "[^a]",
    "[a-z]",
    "[0-9-]",
    r"[\]\-]",
    r"\.",
    r"\w",
    r"\D",
    r"\s",
    r"\[",
    "[",
    "]",
    "\\",
    "{",
    "}",
    " ",
]


@pytest.mark.django_db
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PARTS), max_size=8).map("".join).filter(is_runnable))
def test_a_pattern_that_is_run_finds_the_same_everywhere(pattern: str) -> None:
    if not Server.objects.exists():
        for name in NAMES:
            make_server(name=name)
    found = set(Server.objects.filter(name__iregex=pattern).values_list("name", flat=True))
    assert found == {name for name in NAMES if compiled(f"(?i){pattern}").search(name)}
