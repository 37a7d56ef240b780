"""How each kind of parameter looks as a command's option: this is the one place that says it."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from django.core.management.base import CommandParser

from servers.actions import Action, kinds
from servers.actions.base import Parameter
from servers.microversions import Microversion

_HOST_NAME = re.compile(f"{kinds.HostName.characters}{{1,{kinds.HostName.max_length}}}", re.ASCII)
_MAX_TEXT = kinds.KeyValues.max_length
_KEY = re.compile(f"{kinds.KeyValues.key_characters}{{1,{_MAX_TEXT}}}", re.ASCII)


@dataclass(frozen=True)
class Option:
    """How values of a kind are given. `unset` is what stands for a value that was not given."""

    read: Callable[[str], Any]
    metavar: str
    choices: tuple[str, ...] | None = None
    repeated: bool = False
    optional: bool = False
    """Whether nothing may be said where the definition requires a value: there is a natural one."""
    unset: Any = None
    prompted: bool = False
    """Whether the value never stands on the command line, where everybody on the machine could read it."""


@singledispatch
def option_of(kind: kinds.Kind) -> Option:
    """Return how `kind` looks as an option. Raises TypeError for a kind that this door does not know."""
    raise TypeError(f"servers.management.options does not say how {type(kind).__name__} looks")


@option_of.register
def _(kind: kinds.Boolean) -> Option:
    return Option(_boolean, "true|false")


@option_of.register
def _(kind: kinds.BooleanOrAuto) -> Option:
    return Option(_boolean_or_auto, "true|false|auto", optional=True, unset="auto")


@option_of.register
def _(kind: kinds.HostName) -> Option:
    return Option(_host_name, "HOST", optional=kind.nullable)


@option_of.register
def _(kind: kinds.Name) -> Option:
    return Option(_name, "NAME")


@option_of.register
def _(kind: kinds.Text) -> Option:
    return Option(_text(kind), "TEXT", optional=kind.nullable)


@option_of.register
def _(kind: kinds.Secret) -> Option:
    return Option(str, "SECRET", prompted=True)


@option_of.register
def _(kind: kinds.Count) -> Option:
    return Option(_count(kind.minimum), "N")


@option_of.register
def _(kind: kinds.Choice) -> Option:
    return Option(str, "|".join(kind.values), choices=kind.values)


@option_of.register
def _(kind: kinds.KeyValues) -> Option:
    return Option(_key_value, "KEY=VALUE", repeated=True)


@option_of.register
def _(kind: kinds.MigrationId) -> Option:
    return Option(_count(1), "N", optional=True)


def flag(parameter: Parameter) -> str:
    """Return the option's name: block_migration and adminPass become --block-migration and --admin-pass."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", parameter.name).replace("_", "-")
    return f"--{words.lower()}"


def destination(parameter: Parameter) -> str:
    """Return under which key the parsed value stands; no parameter can take the name of a general option."""
    return f"parameter_{parameter.name}"


def add_options(parser: CommandParser, action: type[Action], version: Microversion) -> None:
    """Give `parser` an option for each parameter that the action has at `version`."""
    group = parser.add_argument_group("parameters")
    for parameter in action.parameters_at(version):
        option = option_of(parameter.kind)
        if option.prompted:
            group.description = (
                f"{parameter.name} ({parameter.help}) is asked for, or read from standard input."
            )
            continue
        group.add_argument(
            flag(parameter),
            dest=destination(parameter),
            type=option.read,
            metavar=option.metavar,
            choices=option.choices,
            action="append" if option.repeated else "store",
            required=parameter.required and not option.optional,
            help=_help(parameter, option),
        )


def _help(parameter: Parameter, option: Option) -> str:
    extras = []
    if option.repeated:
        extras.append("may be repeated")
    if isinstance(parameter.kind, kinds.MigrationId):
        extras.append("default: the one that is going on")
    elif option.unset is not None:
        extras.append(f"default: {option.unset}")
    text = "; ".join([parameter.help, *extras] if parameter.help else extras)
    return text.replace("%", "%%")


def given(action: type[Action], version: Microversion, options: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as the parsed `options` have them; what was left out stays out where it may."""
    params: dict[str, Any] = {}
    for parameter in action.parameters_at(version):
        option = option_of(parameter.kind)
        value = options.get(destination(parameter))
        if value is not None:
            params[parameter.name] = dict(value) if option.repeated else value
        elif parameter.required and option.optional:
            params[parameter.name] = option.unset
    return params


# --------------------------------------------------------------------- what a value has to look like


def _boolean(text: str) -> bool:
    if text in kinds.TRUE_WORDS:
        return True
    if text in kinds.FALSE_WORDS:
        return False
    raise ArgumentTypeError(f"{text!r} is neither true nor false")


def _boolean_or_auto(text: str) -> bool | str:
    return text if text == "auto" else _boolean(text)


def _host_name(text: str) -> str:
    if not _HOST_NAME.fullmatch(text):
        raise ArgumentTypeError(f"{text!r} is no host name: 1 to 255 of A-Z a-z 0-9 - . _")
    return text


def _name(text: str) -> str:
    if not 1 <= len(text) <= _MAX_TEXT or not text.isprintable() or text != text.strip():
        raise ArgumentTypeError(
            f"{text!r} is no name: 1 to 255 printable characters, without white space at either end"
        )
    return text


def _text(kind: kinds.Text) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) < kind.min_length or (kind.max_length is not None and len(text) > kind.max_length):
            raise ArgumentTypeError(f"a text of {kind.min_length} to {kind.max_length} characters is wanted")
        return text

    return read


def _count(minimum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch("[0-9]+", text, re.ASCII) or int(text) < minimum:
            raise ArgumentTypeError(f"{text!r} is no whole number of at least {minimum}")
        return int(text)

    return read


def _key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not _KEY.fullmatch(key) or len(value) > _MAX_TEXT:
        raise ArgumentTypeError(
            f"{text!r} is no KEY=VALUE: keys of A-Z a-z 0-9 - _ : . and blank, both at most 255"
        )
    return key, value
