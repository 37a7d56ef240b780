"""Whether what a request says can be read and keeps to its schema, and what is wrong with it where it does not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from django.http import HttpRequest, UnreadablePostError
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from servers.api.faults import Malformed
from servers.api.resources import Schema

WHOLE = "The request body"
COMPLAINTS: Mapping[str, str] = {
    "type": "must be of type {}",
    "enum": "must be one of {}",
    "const": "must be {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "pattern": "must match {}",
    "format": "must be a {}",
}
"""What is said of a value that a keyword of JSON Schema refuses, round the keyword's own value."""

formats = FormatChecker(formats=())


def bounded_text(longest: int, *, shortest: int = 0) -> Schema:
    """Return the schema of a text with so many characters."""
    return {"type": "string", **({"minLength": shortest} if shortest else {}), "maxLength": longest}


# ------------------------------------------------------------------------------------------ reading


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def read_json(request: HttpRequest) -> Any:
    """Return the body's value. Raises Malformed.

    Refused is also what no database could keep: lone surrogates and NUL in a string, numbers without end,
    and more nesting than Python can follow.
    """
    try:
        value = json.loads(request.body.decode(), parse_constant=_refuse, parse_float=_finite)
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError, UnreadablePostError) as error:
        raise Malformed from error
    if "\\u0000" in text.replace("\\\\", ""):
        raise Malformed
    return value


def moment(text: str) -> datetime:
    """Return the time that `text` names, in UTC when it does not say. Raises ValueError or OverflowError."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


@formats.checks("date-time", raises=(ValueError, OverflowError))
def is_date_time(value: object) -> bool:
    """Return whether a value that is a text names a time. Raises what `moment` raises."""
    return not isinstance(value, str) or bool(moment(value))


# ----------------------------------------------------------------------------------------- checking


def first_error(
    value: Any, schema: Mapping[str, Any], formats: FormatChecker = formats
) -> ValidationError | None:
    """Return the first offence of a value against its schema, None where there is none. Raises Malformed.

    Malformed is what is nested deeper than Python can follow.
    """
    try:
        return next(Draft202012Validator(schema, format_checker=formats).iter_errors(value), None)
    except RecursionError as error:
        raise Malformed from error


def violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return in a sentence which member of a value offends against the schema, and how; None where none does.

    Raises Malformed.
    """
    first = first_error(value, schema)
    return None if first is None else sentence(first)


def sentence(first: ValidationError) -> str:
    """Return which member of a value offends, and how.

    It is made of the schema alone and never repeats the value, which may be a secret.
    """
    error: Any = _deepest(first)
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{_place([*error.absolute_path, missing])} is required."
    return f"{_place(error.absolute_path)} {_complaint(error.validator, error.schema)}."


def _deepest(error: ValidationError) -> ValidationError:
    """Return what offends in a member of one of several forms, rather than that the value has none of them."""
    within = [inner for inner in error.context or () if inner.path]
    return _deepest(max(within, key=lambda inner: len(inner.path))) if within else error


def _place(path: Iterable[str | int]) -> str:
    """Return where in a body something stands, as in `auth.identity.methods[0]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".") or WHOLE


def _complaint(keyword: str, schema: Schema) -> str:
    """Return what a member must be: what its schema's description says, or else the keyword that refuses it."""
    if "description" in schema:
        return f"must be {schema['description']}"
    expected = schema[keyword] if isinstance(schema[keyword], list) else [schema[keyword]]
    words = ", ".join(word if isinstance(word, str) else json.dumps(word) for word in expected)
    return COMPLAINTS.get(keyword, "is not as its schema says").format(words)
