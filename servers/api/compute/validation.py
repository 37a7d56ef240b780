"""Whether a body or a query keeps to its schema, and what Nova says when it does not (Nova contract E.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict
from jsonschema import FormatChecker, ValidationError

from servers.actions import definitions
from servers.actions.kinds import Name, Secret, Text
from servers.api.compute.schemas import text_schema
from servers.api.validation import first_error, is_date_time, sentence
from servers.errors import InvalidParameters
from servers.microversions import Microversion
from servers.web.limits import HEADER_BYTES

NAME_TEXT = (
    "An invalid 'name' value was provided. The name must be: printable characters. "
    "Can not start or end with whitespace."
)


class InvalidName(ValueError):
    """A name that has its own text."""


formats = FormatChecker(formats=())
formats.checks("date-time", raises=(ValueError, OverflowError))(is_date_time)
trimming_formats = FormatChecker(formats=())
"""For `/v2`, where white space around a name is taken away."""


@formats.checks("name", raises=InvalidName)
def _is_name(value: object) -> bool:
    if isinstance(value, str) and not Name().fits(value):
        raise InvalidName(NAME_TEXT)
    return True


@trimming_formats.checks("name", raises=InvalidName)
def _is_trimmed_name(value: object) -> bool:
    return _is_name(value.strip() if isinstance(value, str) else value)


def check_body(body: Any, schema: Mapping[str, Any], *, trims: bool = False) -> None:
    """Do nothing for a body that keeps to its schema. Raises InvalidParameters with Nova's text.

    Nova's text repeats what was said. Where a secret may be among it, what is wrong is said without.
    """
    error = first_error(body, schema, trimming_formats if trims else formats)
    if error is None:
        return
    if isinstance(error.cause, InvalidName):
        raise InvalidParameters(str(error.cause))
    if secret_names() & {*names_in(schema), *names_in(body)}:
        raise InvalidParameters(sentence(error))
    raise InvalidParameters(_text(error, "field/attribute", error.path[-1] if error.path else None))


def secret_names() -> set[str]:
    """Return what actions call their secret parameters."""
    return {
        p.name for action in definitions.values() for p in action.parameters if isinstance(p.kind, Secret)
    }


def names_in(value: Any) -> Iterator[str]:
    """Yield every name of a member in a value of JSON, however deep."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            yield from value
            left += value.values()
        elif isinstance(value, list):
            left += value


def _text(error: ValidationError, what: str, name: Any) -> str:
    message = error.message.replace("$(?!\\\\n)", "$")  # a pattern is shown as Nova writes it
    if name is None:
        return message
    return f"Invalid input for {what} {name}. Value: {error.instance}. {message}"


TEXT = {"type": "string"}
NUMBER = text_schema(Text(min_length=1, max_length=HEADER_BYTES, characters="[0-9]"))
DATE_TIME = {"type": "string", "format": "date-time"}


@dataclass(frozen=True)
class Term:
    """A key that a query may have, in a range of microversions."""

    name: str
    schema: Mapping[str, Any]
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Query:
    """What the query of an address may say; another key is refused from the microversion `strict` on."""

    terms: tuple[Term, ...] = ()
    strict: str = "2.102"

    def read(self, given: QueryDict, version: Microversion) -> dict[str, list[str]]:
        """Return the values by key, without the keys that mean nothing here. Raises InvalidParameters."""
        schemas = {t.name: t.schema for t in self.terms if version.between(t.since, t.until)}
        schema = {
            "type": "object",
            "properties": {name: {"type": "array", "items": s} for name, s in schemas.items()},
            "additionalProperties": not version.between(self.strict, None),
        }
        values = dict(given.lists())
        error = first_error(values, schema, formats)
        if error is not None:
            name = error.path[0] if error.path else None
            raise InvalidParameters(_text(error, "query parameters", name))
        known = {name: found for name, found in values.items() if name in schemas and found}
        for name, found in known.items():
            if any("\0" in value for value in found):
                raise InvalidParameters(f"Invalid input for query parameters {name}.")
        return known


PAGING = (Term("limit", NUMBER), Term("marker", TEXT))
