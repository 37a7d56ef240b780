"""Every kind of parameter at every door: each says how it looks, and all of them take the same values."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import RequestFactory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from servers.actions import kinds
from servers.admin.fields import field_of
from servers.api.compute.actions import NO_MIGRATION, migration_number
from servers.api.compute.schemas import schema_of
from servers.api.compute.validation import check_body
from servers.api.faults import Malformed
from servers.api.validation import read_json
from servers.errors import InvalidParameters
from servers.management.options import option_of, reader

REFUSED = object()
DOORS: dict[str, Callable[[Any], Any]] = {"rest": schema_of, "command": option_of, "console": field_of}


def _all(root: type[kinds.Kind]) -> list[type[kinds.Kind]]:
    return [k for child in root.__subclasses__() for k in (child, *_all(child))]


KINDS = [k for k in _all(kinds.Kind) if k.__module__ == kinds.__name__]
EXAMPLES = [
    *(kinds.Choice(("active", "error")) if kind is kinds.Choice else kind() for kind in KINDS),
    kinds.Text(1, 255),
    kinds.HostName(nullable=False),
]
every_example = pytest.mark.parametrize("kind", EXAMPLES, ids=repr)


@pytest.mark.parametrize("door", list(DOORS))
@every_example
def test_door_says_how_the_kind_looks(door: str, kind: kinds.Kind) -> None:
    assert DOORS[door](kind)


@pytest.mark.parametrize("door", list(DOORS))
def test_kind_that_no_door_knows_is_refused_by_name(door: str) -> None:
    class Colour(kinds.Kind):
        """A colour."""

    with pytest.raises((TypeError, NotImplementedError), match="Colour"):
        DOORS[door](Colour())


# ------------------------------------------------------------------------ one value, three ways in


def by_rest(kind: kinds.Kind, text: str) -> Any:
    """Return the value that the body of a request has, or REFUSED."""
    value: Any = text
    if isinstance(kind, kinds.KeyValues):
        key, equals, content = text.partition("=")
        value = {key: content} if equals else None
    body = {"type": "object", "properties": {"it": schema_of(kind)}}
    sent = RequestFactory().post("/", json.dumps({"it": value}), content_type="application/json")
    try:
        read = read_json(sent)
        check_body(read, body)
    except (Malformed, InvalidParameters):
        return REFUSED
    return read["it"]


def by_command(kind: kinds.Kind, text: str) -> Any:
    """Return the value that a word of the command line stands for, or REFUSED."""
    try:
        value = reader(kind)(text)
    except ArgumentTypeError:
        return REFUSED
    return dict([value]) if option_of(kind).repeated else value


def by_console(kind: kinds.Kind, text: str) -> Any:
    """Return the value that a form's field is cleaned to, or REFUSED."""
    try:
        return field_of(kind).clean(text)
    except ValidationError:
        return REFUSED


def says_the_same_in_a_form(kind: kinds.Kind, text: str) -> bool:
    """Return whether a form takes the text as it is: an empty field says nothing, blanks around a value are dropped.

    Pairs stand there one on a line.
    """
    if isinstance(kind, kinds.KeyValues):
        parts = text.split("=", 1)
        return parts == [part.strip() for part in parts] and not set(text) & {"\r", "\n"}
    return text != "" and (text == text.strip() or isinstance(kind, kinds.Secret))


def limits_of(kind: kinds.Kind) -> list[kinds.Text]:
    """Return the limits that the kind has: those of itself, and of its parts."""
    parts = [kind, *(getattr(kind, name, None) for name in ("digits", "key", "value"))]
    return [part for part in parts if isinstance(part, kinds.Text)]


def near(limit: kinds.Text) -> st.SearchStrategy[str]:
    """Return texts about as long as the limit allows, of one character, with perhaps another one in it."""
    ends = [limit.min_length, limit.max_length or 8]
    lengths = st.sampled_from(sorted({max(end + step, 0) for end in ends for step in (-1, 0, 1)}))
    usual = st.sampled_from("aZ059-._: é")
    odd = st.sampled_from(
        ["", "", "\n", " ", "\t", "/", "=", "²", "\u0663", "\u00a0", "\u2028", "\0", "\ud800"]
    ) | st.characters(exclude_categories=())

    def text(character: str, length: int, other: str, at_end: bool) -> str:
        body = character * max(length - len(other), 0)
        return body + other if at_end else body[: length // 2] + other + body[length // 2 :]

    return st.builds(text, usual, lengths, odd, st.booleans())


def texts_for(kind: kinds.Kind) -> st.SearchStrategy[str]:
    """Return texts of which some are values of the kind, and some just not."""
    words = [str(word) for word in getattr(kind, "values", ())] + [
        "auto",
        "tRuE",
        "0",
        "-1",
        "+1",
        "1_0",
        "1.0",
    ]
    found = [st.sampled_from(words), st.text(st.characters(exclude_categories=()), max_size=9)]
    limits = limits_of(kind)
    if isinstance(kind, kinds.KeyValues):
        found.append(st.builds("{}={}".format, *map(near, limits)))
    return st.one_of(*found, *map(near, limits))


@every_example
@given(data=st.data())
@settings(deadline=None)
def test_doors_take_and_refuse_the_same_values(kind: kinds.Kind, data: st.DataObject) -> None:
    text = data.draw(texts_for(kind))
    assert_doors_agree(kind, text)


def assert_doors_agree(kind: kinds.Kind, text: str) -> None:
    """Assert that what one door takes the others take, and that steps get the same of each."""
    taken = {"rest": by_rest(kind, text), "command": by_command(kind, text)}
    if says_the_same_in_a_form(kind, text):
        taken["console"] = by_console(kind, text)
    fits = kind.fits(text)
    assert {door: value is not REFUSED for door, value in taken.items()} == dict.fromkeys(taken, fits)
    cleaned = [kind.clean(value) for value in taken.values() if fits]
    assert all(value == cleaned[0] for value in cleaned)


@pytest.mark.parametrize(
    ("kind", "text", "fits"),
    [
        (kinds.HostName(), "h" * 255, True),
        (kinds.HostName(), "h" * 256, False),
        (kinds.HostName(), "h\n", False),
        (kinds.Name(), "a\u00a0b", True),
        (kinds.Name(), "a\u2028b", False),
        (kinds.Text(1, 255), "x" * 256, False),
        (kinds.Text(), "\0", False),
        (kinds.Text(), "\udcff", False),
        (kinds.Count(), "9" * 4000, True),
        (kinds.Count(), "9" * 4001, False),
        (kinds.Count(), "\u0663", False),
        (kinds.Count(), "1_0", False),
        (kinds.MigrationId(), "9" * 18, True),
        (kinds.MigrationId(), "9" * 19, False),
        (kinds.KeyValues(), "k" * 255 + "=" + "v" * 255, True),
        (kinds.KeyValues(), "k" * 256 + "=v", False),
        (kinds.KeyValues(), "k=" + "v" * 256, False),
        (kinds.KeyValues(), "k\u2028=v", False),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_doors_agree_at_the_limits(kind: kinds.Kind, text: str, fits: bool) -> None:
    assert kind.fits(text) is fits
    assert_doors_agree(kind, text)


@given(text=texts_for(kinds.MigrationId()))
@example("0" * 18)
@settings(deadline=None)
def test_address_takes_the_numbers_of_migrations_that_the_other_doors_take(text: str) -> None:
    kind = kinds.MigrationId()
    assert migration_number(text) == (kind.read(text) if kind.fits(text) else NO_MIGRATION)


@every_example
def test_refusal_says_what_is_wanted_and_never_what_was_given(kind: kinds.Kind) -> None:
    with pytest.raises(ValueError, match=r"^It has to be .+\.$") as refused:
        kind.read("swordfish\0")
    assert "swordfish" not in str(refused.value)
