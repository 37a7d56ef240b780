"""Every kind of parameter at every door: a new kind that a door has forgotten is named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.actions import kinds
from servers.admin.fields import field_of
from servers.api.compute.schemas import schema_of
from servers.management.options import option_of


def _all(root: type[kinds.Kind]) -> list[type[kinds.Kind]]:
    return [k for child in root.__subclasses__() for k in (child, *_all(child))]


KINDS = [k for k in _all(kinds.Kind) if k.__module__ == kinds.__name__]
DOORS: dict[str, Callable[[Any], Any]] = {"rest": schema_of, "command": option_of, "console": field_of}


def example(kind: type[kinds.Kind]) -> kinds.Kind:
    return kinds.Choice(("active", "error")) if kind is kinds.Choice else kind()


@pytest.mark.parametrize("door", list(DOORS))
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_door_says_how_the_kind_looks(door: str, kind: type[kinds.Kind]) -> None:
    assert DOORS[door](example(kind))


@pytest.mark.parametrize("door", list(DOORS))
def test_kind_that_no_door_knows_is_refused_by_name(door: str) -> None:
    class Colour(kinds.Kind):
        """A colour."""

    with pytest.raises((TypeError, NotImplementedError), match="Colour"):
        DOORS[door](Colour())


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_schema_of_the_kind_is_one(kind: type[kinds.Kind]) -> None:
    schema = schema_of(example(kind))
    assert schema.get("type"), "a schema that says nothing takes anything"
    Draft202012Validator.check_schema(schema)
