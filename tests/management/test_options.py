"""Every kind and every action as a command's options."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

import pytest
from django.core.management.base import CommandError, CommandParser

from servers.actions import Action, kinds, registry
from servers.actions.base import Parameter
from servers.management.options import add_options, destination, given, option_of, reader
from servers.microversions import HISTORY, NEWEST, Microversion


def parsed(action: type[Action], version: str, *words: str) -> dict[str, Any]:
    parser = CommandParser(called_from_command_line=False)
    add_options(parser, action, Microversion.parse(version))
    return given(action, Microversion.parse(version), vars(parser.parse_args(words)))


@pytest.mark.parametrize("slug", sorted(registry))
def test_every_action_has_an_option_for_each_parameter_of_each_version(slug: str) -> None:
    for version in map(Microversion.parse, HISTORY):
        parser = CommandParser()
        add_options(parser, registry[slug], version)
        shown = {word for action in parser._actions for word in action.option_strings}
        wanted = [p for p in registry[slug].parameters_at(version) if not option_of(p.kind).prompted]
        assert shown - {"-h", "--help"} == {p.flag for p in wanted}, version


@pytest.mark.parametrize("slug", sorted(registry))
def test_the_help_of_each_action_holds_its_descriptions(slug: str) -> None:
    parser = CommandParser()
    add_options(parser, registry[slug], NEWEST)
    text = " ".join(parser.format_help().split())
    assert [
        p.name for p in registry[slug].parameters_at(NEWEST) if " ".join(p.help.split()) not in text
    ] == []


def test_no_secret_can_stand_on_the_command_line() -> None:
    with pytest.raises(CommandError, match="unrecognized arguments"):
        parsed(registry["change-password"], "2.1", "--admin-pass", "swordfish")


def test_option_names_are_words_with_hyphens() -> None:
    names = [Parameter(name, kinds.Text()).flag for name in ("block_migration", "adminPass", "name")]
    assert names == ["--block-migration", "--admin-pass", "--name"]


def test_no_parameter_takes_the_place_of_a_general_option() -> None:
    assert destination(Parameter("json", kinds.Text())) != "json"


def test_what_may_be_left_to_the_scheduler_is_null_when_it_is_left_out() -> None:
    assert parsed(registry["live-migration"], "2.25") == {"host": None, "block_migration": "auto"}


def test_what_a_version_requires_is_required() -> None:
    with pytest.raises(CommandError, match="--disk-over-commit"):
        parsed(registry["live-migration"], "2.24", "--block-migration", "true")


def test_what_a_version_does_not_know_is_no_option() -> None:
    with pytest.raises(CommandError, match="unrecognized arguments: --force"):
        parsed(registry["live-migration"], "2.68", "--force", "true")


def test_key_values_are_gathered() -> None:
    words = [
        "--name",
        "a",
        "--backup-type",
        "daily",
        "--rotation",
        "2",
        "--metadata",
        "a=1",
        "--metadata",
        "b=x=y",
    ]
    assert parsed(registry["create-backup"], "2.1", *words)["metadata"] == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.Boolean(), "Yes", True),
        (kinds.Boolean(), "off", False),
        (kinds.BooleanOrAuto(), "auto", "auto"),
        (kinds.BooleanOrAuto(), "true", True),
        (kinds.HostName(), "host_1.example-net", "host_1.example-net"),
        (kinds.Name(), "nightly backup", "nightly backup"),
        (kinds.Text(1, 3), "abc", "abc"),
        (kinds.Count(), "0", 0),
        (kinds.KeyValues(), "os_type=linux", ("os_type", "linux")),
        (kinds.MigrationId(), "7", 7),
    ],
)
def test_a_good_value_is_read(kind: kinds.Kind, text: str, value: object) -> None:
    assert reader(kind)(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.Boolean(), "tRuE"),
        (kinds.Boolean(), "auto"),
        (kinds.BooleanOrAuto(), "Auto"),
        (kinds.HostName(), ""),
        (kinds.HostName(), "two words"),
        (kinds.HostName(), "h\n"),
        (kinds.Name(), " padded"),
        (kinds.Name(), "line\nbreak"),
        (kinds.Name(), "x" * 256),
        (kinds.Text(1, 3), ""),
        (kinds.Text(1, 3), "abcd"),
        (kinds.Count(), "-1"),
        (kinds.Count(), "1.0"),
        (kinds.Count(), "²"),
        (kinds.KeyValues(), "no equals sign"),
        (kinds.KeyValues(), "=value"),
        (kinds.KeyValues(), "key=" + "x" * 256),
        (kinds.MigrationId(), "-1"),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(kind: kinds.Kind, text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"\w"):
        reader(kind)(text)
