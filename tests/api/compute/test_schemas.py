"""How kinds look as JSON schemas, and what Nova says of a value that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.actions import registry
from servers.actions.base import Action, Shape
from servers.api.compute.schemas import action_schema
from servers.api.compute.validation import check_body
from servers.errors import InvalidParameters
from servers.microversions import HISTORY, Microversion

BACKUP = {"name": "b", "backup_type": "daily", "rotation": 1}
LIVE = {"host": None, "block_migration": "auto"}
OLD_LIVE = {"host": None, "block_migration": False, "disk_over_commit": False}


def refusal(slug: str, value: Any, version: str = "2.34", *, trims: bool = False) -> str | None:
    action = registry[slug]
    try:
        schema = action_schema(action, Microversion.parse(version))
        check_body({action.wire_name: value}, schema, trims=trims)
    except InvalidParameters as fault:
        return str(fault)
    return None


@pytest.mark.parametrize("action", [a for a in registry.values() if a.wire_name], ids=lambda a: a.slug)
def test_every_action_has_at_every_microversion_a_schema_that_says_something_of_each_parameter(
    action: type[Action],
) -> None:
    for version in map(Microversion.parse, HISTORY):
        schema = action_schema(action, version)
        Draft202012Validator.check_schema(schema)
        values = schema["properties"][action.wire_name].get("properties", {})
        is_object = action.body(version) in {Shape.OBJECT, Shape.OBJECT_OR_NULL}
        known = {p.name for p in action.parameters_at(version) if not p.in_path}
        assert set(values) == (known if is_object else set())
        assert [name for name, s in values.items() if Draft202012Validator(s).is_valid([])] == []


@pytest.mark.parametrize("value", [True, False, "on", "No", "1", "TRUE", "0", "yes"])
def test_words_for_booleans_are_taken(value: Any) -> None:
    assert refusal("live-migration", {**OLD_LIVE, "block_migration": value}, "2.1") is None


@pytest.mark.parametrize("value", [1, 0, None, "tRuE", "y", "t", "", "auto", [], 1.0])
def test_other_values_are_no_booleans(value: Any) -> None:
    text = refusal("live-migration", {**OLD_LIVE, "block_migration": value}, "2.1")
    assert text is not None
    assert text.startswith(f"Invalid input for field/attribute block_migration. Value: {value}. ")


@pytest.mark.parametrize(
    ("version", "added", "taken"),
    [
        ("2.24", {"disk_over_commit": False, "block_migration": True}, True),
        ("2.25", {"disk_over_commit": False}, False),
        ("2.29", {"force": True}, False),
        ("2.30", {"force": True}, True),
        ("2.67", {"force": "false"}, True),
        ("2.68", {"force": True}, False),
        ("2.68", {}, True),
    ],
)
def test_live_migration_knows_its_microversions(version: str, added: dict[str, Any], taken: bool) -> None:
    assert (refusal("live-migration", {**LIVE, **added}, version) is None) is taken


@pytest.mark.parametrize("host", [None, "host2", "a" * 255, "h_1.example-2"])
def test_host_names_that_are_taken(host: str | None) -> None:
    assert refusal("live-migration", {**LIVE, "host": host}) is None


@pytest.mark.parametrize("host", ["", "a" * 256, "a:b", "a b", "h\n", "h\u00f6st", 5, True])
def test_host_names_that_are_refused(host: Any) -> None:
    assert (refusal("live-migration", {**LIVE, "host": host}) or "").startswith(
        f"Invalid input for field/attribute host. Value: {host}. "
    )


def test_pattern_is_shown_as_nova_writes_it() -> None:
    text = refusal("live-migration", {**LIVE, "host": "a b"})
    assert text == (
        "Invalid input for field/attribute host. Value: a b. 'a b' does not match '^[a-zA-Z0-9-._]*$'"
    )


@pytest.mark.parametrize("rotation", [0, 1, "3", "0", 1.0, 10**30, "9" * 4000])
def test_rotations_that_are_taken(rotation: Any) -> None:
    assert refusal("create-backup", {**BACKUP, "rotation": rotation}) is None


@pytest.mark.parametrize("rotation", [-1, "-1", "", "abc", 1.5, True, None, [], "1\n", "9" * 4001, "\u0663"])
def test_rotations_that_are_refused(rotation: Any) -> None:
    assert refusal("create-backup", {**BACKUP, "rotation": rotation}) is not None


@pytest.mark.parametrize("name", ["b", "x y", "\u00e9\u4e2d", "x" * 255])
def test_names_that_are_taken(name: str) -> None:
    assert refusal("create-backup", {**BACKUP, "name": name}) is None


@pytest.mark.parametrize("name", [" x", "x ", "x\ty", "x\u2028y", "x\n", " "])
def test_name_that_is_not_printable_has_a_text_of_its_own(name: str) -> None:
    assert refusal("create-backup", {**BACKUP, "name": name}) == (
        "An invalid 'name' value was provided. The name must be: printable characters. "
        "Can not start or end with whitespace."
    )


def test_v2_takes_white_space_around_a_name() -> None:
    assert refusal("create-backup", {**BACKUP, "name": " x "}, trims=True) is None
    assert refusal("create-backup", {**BACKUP, "name": "  "}, trims=True) is not None


@pytest.mark.parametrize("metadata", [{}, {"a-_:. b": "v" * 255}, {"k" * 255: ""}])
def test_metadata_that_is_taken(metadata: dict[str, str]) -> None:
    assert refusal("create-backup", {**BACKUP, "metadata": metadata}) is None


@pytest.mark.parametrize(
    "metadata",
    [None, [], "x", {"": "v"}, {"a/b": "v"}, {"k" * 256: "v"}, {"k": "v" * 256}, {"k": 1}, {"k\n": "v"}],
)
def test_metadata_that_is_refused(metadata: Any) -> None:
    assert refusal("create-backup", {**BACKUP, "metadata": metadata}) is not None


def test_text_of_an_additional_key_shows_the_whole_object() -> None:
    assert refusal("reset-state", {"state": "active", "foo": 1}) == (
        "Invalid input for field/attribute os-resetState. Value: {'state': 'active', 'foo': 1}. "
        "Additional properties are not allowed ('foo' was unexpected)"
    )


@pytest.mark.parametrize("value", [None, {}, {"host": None}, {"host": "h"}])
def test_migrate_takes_null_or_an_object_since_2_56(value: Any) -> None:
    assert refusal("migrate", value, "2.56") is None


@pytest.mark.parametrize("value", ["x", 0, [], {"foo": 1}, {"host": 3}])
def test_migrate_refuses_since_2_56_what_it_took_before(value: Any) -> None:
    assert refusal("migrate", value, "2.55") is None
    assert refusal("migrate", value, "2.56") is not None


@pytest.mark.parametrize("slug", ["inject-network-info", "reset-network", "confirm-resize", "revert-resize"])
@pytest.mark.parametrize("value", [None, {"x": 1}, [1], "x", 0])
def test_value_of_some_actions_is_not_looked_at(slug: str, value: Any) -> None:
    assert refusal(slug, value, "2.104") is None


@pytest.mark.parametrize("value", [{}, "", 0, False, []])
def test_force_complete_takes_null_alone(value: Any) -> None:
    assert refusal("force-complete", None) is None
    assert refusal("force-complete", value) is not None
