"""How each kind of parameter looks as a command's option: this is the one place that says it."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from django.core.management.base import CommandParser

from servers.actions import Action, kinds
from servers.actions.base import Parameter
from servers.microversions import Microversion


@dataclass(frozen=True)
class Option:
    """How values of a kind are given. `unset` is what stands for a value that was not given."""

    metavar: str
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
def _(kind: kinds.Choice) -> Option:
    return Option("|".join(kind.values))


@option_of.register
def _(kind: kinds.Boolean) -> Option:
    return Option("|".join(kind.offered))


@option_of.register
def _(kind: kinds.BooleanOrAuto) -> Option:
    return Option("|".join(kind.offered), optional=True, unset=kinds.AUTO)


@option_of.register
def _(kind: kinds.Text) -> Option:
    return Option("TEXT")


@option_of.register
def _(kind: kinds.HostName) -> Option:
    return Option("HOST", optional=kind.nullable)


@option_of.register
def _(kind: kinds.Name) -> Option:
    return Option("NAME")


@option_of.register
def _(kind: kinds.Secret) -> Option:
    return Option("SECRET", prompted=True)


@option_of.register
def _(kind: kinds.Count) -> Option:
    return Option("N")


@option_of.register
def _(kind: kinds.MigrationId) -> Option:
    return Option("N", optional=True)


@option_of.register
def _(kind: kinds.KeyValues) -> Option:
    return Option("KEY=VALUE", repeated=True)


def reader(kind: kinds.Kind) -> Callable[[str], Any]:
    """Return what reads a value of `kind` from the command line; it raises ArgumentTypeError."""

    def read(text: str) -> Any:
        try:
            return kind.read(text)
        except ValueError as error:
            raise ArgumentTypeError(f"{text!r}: {error}") from error

    return read


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
            parameter.flag,
            dest=destination(parameter),
            type=reader(parameter.kind),
            metavar=option.metavar,
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
