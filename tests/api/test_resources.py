"""A resource is a table: the body of an answer and its schema come of the same rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.api.resources import (
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    Bodies,
    Field,
    Resource,
    fields,
    fixed,
    itself,
    or_null,
)
from servers.microversions import Microversion


@dataclass
class Thing:
    """Something that is shown."""

    name: str = "web"
    nick: str = ""
    size: int = 3
    project_id: str = "p"
    parts: list[Thing] = field(default_factory=list)


class Request:
    """A request in one microversion, whose caller is allowed what stands in `rules`."""

    def __init__(self, version: str = "2.1", rules: tuple[str, ...] = ()) -> None:
        self.version = Microversion.parse(version)
        self.rules = rules
        self.asked: Counter[str] = Counter()
        self.projects: set[str | None] = set()

    def allows(self, rule: str, project_id: str | None = None) -> bool:
        self.asked[rule] += 1
        self.projects.add(project_id)
        return rule in self.rules


PART = Resource("Part", (Field("name", TEXT, "name"),))
THING = Resource(
    "Thing",
    (
        *fields("name", TEXT),
        Field("size", NUMBER, "size", since="2.5"),
        Field("spoken", TEXT, lambda thing, asked: f"{thing.name} in {asked.version}"),
        Field("secret", TEXT, fixed("x"), rule="see"),
        Field("hidden", TEXT, fixed("y"), rule="see", otherwise=None),
        Field("large", TEXT, fixed("yes"), when=lambda thing: thing.size > 5),
        Field("part", PART, itself, when=lambda thing: thing.parts, otherwise=""),
        Field("parts", PART, "parts", many=True),
        Field("named", PART, lambda thing: {part.name: part for part in thing.parts}, by_name=True),
        Field("twins", PART, lambda thing: {"all": thing.parts * 2}, many=True, by_name=True),
        Field("nick", TEXT_OR_NULL, or_null("nick")),
    ),
)


def body(thing: Thing, request: Request) -> dict[str, Any]:
    return Bodies(THING, request)(thing)


def test_a_field_is_shown_in_its_microversions() -> None:
    assert "size" not in body(Thing(), Request("2.4"))
    assert body(Thing(), Request("2.5"))["size"] == 3


def test_a_value_may_depend_on_the_request() -> None:
    assert body(Thing(), Request("2.9"))["spoken"] == "web in 2.9"


def test_what_is_empty_may_be_null() -> None:
    assert body(Thing(), Request())["nick"] is None
    assert body(Thing(nick="w"), Request())["nick"] == "w"


def test_what_depends_on_no_request_needs_none() -> None:
    assert Bodies(PART)(Thing()) == {"name": "web"}


def test_what_a_rule_protects_is_left_out_or_replaced() -> None:
    refused = body(Thing(), Request())
    assert "secret" not in refused
    assert refused["hidden"] is None
    assert body(Thing(), Request(rules=("see",)))["secret"] == "x"


def test_a_rule_is_asked_once_a_project_and_not_once_a_thing() -> None:
    request = Request(rules=("see",))
    make = Bodies(THING, request)
    for _ in range(10):
        make(Thing())
    assert request.asked == {"see": 1}


@pytest.mark.parametrize(
    ("project", "asked"), [({}, "p"), ({"project": "nick"}, ""), ({"project": fixed(None)}, None)]
)
def test_a_table_says_in_which_project_its_rules_are_asked(
    project: dict[str, Any], asked: str | None
) -> None:
    request = Request()
    Bodies(Resource("Guarded", (Field("secret", TEXT, fixed("x"), rule="see"),), **project), request)(Thing())
    assert request.projects == {asked}


def test_a_condition_may_depend_on_the_request() -> None:
    alone = Resource("Odd", (Field("odd", TEXT, fixed("x"), when=lambda _, asked: asked.version.minor % 2),))
    assert Bodies(alone, Request("2.1"))(Thing()) == {"odd": "x"}
    assert Bodies(alone, Request("2.2"))(Thing()) == {}


def test_a_condition_decides_thing_by_thing() -> None:
    assert "large" not in body(Thing(), Request())
    assert body(Thing(size=6), Request())["large"] == "yes"


def test_a_member_that_is_a_resource_has_its_own_table() -> None:
    found = body(Thing(parts=[Thing("a"), Thing("b")]), Request())
    assert found["parts"] == [{"name": "a"}, {"name": "b"}]
    assert found["part"] == {"name": "web"}
    assert found["named"] == {"a": {"name": "a"}, "b": {"name": "b"}}
    assert found["twins"] == {"all": [{"name": "a"}, {"name": "b"}] * 2}
    assert body(Thing(), Request())["part"] == ""


@pytest.mark.parametrize("version", ["2.1", "2.5"])
@pytest.mark.parametrize("rules", [(), ("see",)])
@pytest.mark.parametrize("thing", [Thing(), Thing(size=6, parts=[Thing("a")])])
def test_every_body_keeps_to_the_schema_of_its_table(
    version: str, rules: tuple[str, ...], thing: Thing
) -> None:
    schema = THING.at(Microversion.parse(version))
    Draft202012Validator(schema).validate(body(thing, Request(version, rules)))


def test_a_field_that_does_not_say_how_it_is_read_is_refused_by_name() -> None:
    table = Resource("Mute", (Field("dumb", TEXT),))
    with pytest.raises(LookupError, match="dumb"):
        Bodies(table, Request())


def test_a_body_may_depend_on_no_request() -> None:
    assert "secret" not in Bodies(THING)(Thing())
    assert Bodies(PART)(Thing("a")) == {"name": "a"}


def test_members_that_are_not_named_stand_beside_those_that_are() -> None:
    table = Resource(
        "Open", fields("name", TEXT), rest=TEXT, others=lambda thing: {"name": "?", "more": "yes"}
    )
    assert Bodies(table)(Thing("a")) == {"name": "a", "more": "yes"}
