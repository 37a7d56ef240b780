"""What a request's body says, and whether it keeps to its schema."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from django.http import HttpRequest, UnreadablePostError
from jsonschema import Draft202012Validator

from servers.api.faults import Malformed
from servers.api.resources import Schema


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


def violation(value: Any, schema: Schema) -> str | None:
    """Return which member of a value offends against the schema, None where none does. The value is never repeated."""
    try:
        error = next(Draft202012Validator(schema).iter_errors(value), None)
    except RecursionError as deep:
        raise Malformed from deep
    place = ".".join(str(step) for step in error.absolute_path) if error else ""
    return f"{place or 'The request body'} is not as its schema says." if error else None
