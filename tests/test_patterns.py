"""A caller's regular expression is run by no engine that tries one way after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.models import Server
from servers.patterns import MAX_PATTERN, is_runnable
from tests.factories import make_server

ROOT = Path(__file__).parent.parent
EVIL = r"^(?:[\w.-]|[\w.-]|[\w.-]|[\w.-]|[\w.-]|[\w.-])*!"
COMPILING = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
OURS = {
    "servers/actions/kinds.py": "the characters of a kind, which its class says",
    "servers/api/outage.py": "the beginnings of a table",
}
"""Where Python's `re` is handed a pattern that is no literal, and whose it is."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ("servers", "project"):
        for path in (ROOT / room).rglob("*.py"):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def is_of_re(node: ast.AST) -> bool:
    """Return whether this calls a function of Python's `re` with a pattern that is no literal."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in {("re", verb) for verb in COMPILING}
        and not isinstance(node.args[0], ast.Constant)
    )


def test_pythons_re_runs_patterns_of_ours_alone() -> None:
    found = {name for name, tree in modules() for node in ast.walk(tree) if is_of_re(node)}
    assert found == set(OURS)


def test_nothing_matches_by_names_with_wildcards() -> None:
    imported = {
        (name, alias.name)
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if "fnmatch" in {alias.name, getattr(node, "module", None)}
    }
    assert imported == set()


@pytest.mark.django_db
@pytest.mark.parametrize("lookup", ["name__regex", "name__iregex"])
def test_a_pattern_on_which_python_would_hang_ends_at_once(lookup: str) -> None:
    make_server(name="a" * 255)
    assert not Server.objects.filter(**{lookup: EVIL}).exists()
    assert Server.objects.filter(**{lookup: EVIL.replace("!", "$")}).exists()


@pytest.mark.django_db
def test_null_matches_nothing() -> None:
    make_server(description=None)
    assert not Server.objects.filter(description__regex=".*").exists()


@pytest.mark.parametrize(
    "pattern",
    [
        "web",
        "^web-[0-9]+$",
        "(a|b)*",
        r"\.example\.org$",
        "[^a-z]",
        "a{2,3}",
        "(?:a+)+",
        "a+?",
        r"[\]\-]",
        "é",
    ],
)
def test_what_people_write_is_run(pattern: str) -> None:
    assert is_runnable(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a)\1",  # a back reference
        "(?=a)",
        "(?i)a",
        "(?P<n>a)",
        "[[:alpha:]]",
        "[[.a.]]",
        "***=a",  # PostgreSQL's own
        r"\m",
        r"\pL",  # RE2's own
        "^*",
        "a**",
        "a{",
        "a{,3}",
        "a{100}",
        "(",
        ")",
        "((a{1,99}){1,99}){1,99}",
        "[z-a]",
        "a" * (MAX_PATTERN + 1),
    ],
)
def test_what_engines_read_differently_or_not_at_all_is_not_run(pattern: str) -> None:
    assert not is_runnable(pattern)
