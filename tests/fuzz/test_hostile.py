"""Bytes that no schema describes, in every body, address and query of the document: refused, and nothing changed.

What is well formed and wrong is schemathesis' part (test_document.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction

from servers.api.schema import generator
from tests.api.schema.stage import Stage
from tests.conftest import NO_BODY
from tests.fuzz.rows import rows

DOCUMENT = json.loads(json.dumps(generator.document(), default=str))
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]

NOT_IMPLEMENTED = 501
"""Nova's answer to what no driver can tell: no failure."""

BODIES = {
    "nothing": b"",
    "half an object": b'{"createBackup": {',
    "no UTF-8": b'{"createBackup": "\xff\xfe"}',
    "UTF-16": '{"lock": null}'.encode("utf-16"),
    "a zero byte": b'{"lock": null}\x00',
    "no JSON number": b'{"createBackup": {"rotation": NaN}}',
    "infinity": b'{"createBackup": {"rotation": 1e999}}',
    "deep": b"[" * 100_000,
    "deep and whole": b'{"lock":' * 5_000 + b"1" + b"}" * 5_000,
    "a name twice": b'{"lock": null, "lock": {}}',
    "a form": b"lock=null",
}
VALUES = {
    "half a character": "\ud800",
    "a zero byte": "a\x00b",
    "a huge number": 10**400,
    "more digits than Python reads": "1" * 5000,
    "a number with a fraction": 1e300,
    "a long text": "x" * 70_000,
    "as many characters as a column keeps, of four bytes": "\U0001f600" * 255,
    "digits of another script": "١٢",
}
TEXTS = {
    "half a character": "%ED%A0%80",
    "no UTF-8": "%FF%FE",
    "a zero byte": "a%00b",
    "a line's end": "a%0D%0Ab",
    "a way out": "..%2F..%2Fetc",
    "more digits than Python reads": "1" * 5000,
    "a huge number": "9" * 400,
    "a number of 18 digits": "9" * 18,
    "less than nothing": "-1",
    "digits of another script": quote("١٢"),
}


def send(
    stage: Stage,
    untouched: list[Any],
    method: str,
    path: str,
    body: Any = NO_BODY,
    media_type: str = "application/json",
) -> None:
    """Send a request. Raises AssertionError for a failure of ours, or a refusal that has changed something."""
    with transaction.atomic():
        response = stage.admin.request(method.upper(), path, body, "latest", Content_Type=media_type)
        assert response.status_code < 500 or response.status_code == NOT_IMPLEMENTED, (
            method,
            path,
            body,
            response.content,
        )
        assert response.status_code < 400 or rows() == untouched, (method, path, body)
        transaction.set_rollback(True)


def with_body() -> Iterator[tuple[str, str, str, list[Any]]]:
    """Return path, method, media type and examples of what takes a body of JSON."""
    for path, method in OPERATIONS:
        for media_type, media in (
            DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {}).items()
        ):
            if "json" in media_type:
                yield path, method, media_type, [one["value"] for one in media.get("examples", {}).values()]


def spoilt(value: Any, by: Any) -> Iterator[Any]:
    """Return copies of a value, each with something else in another place, names included."""
    yield by
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in spoilt(inner, by))
        yield {**value, str(by): by}
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in spoilt(inner, by))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_body_that_is_no_json_is_refused_and_changes_nothing(
    stage: Stage, untouched: list[Any], body: bytes
) -> None:
    for path, method, media_type, _ in with_body():
        for sent_as in (media_type, "text/html", "application/json; charset=utf-7"):
            send(stage, untouched, method, stage.address(path), body, sent_as)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_hostile_value_anywhere_in_a_good_body_is_no_failure_of_ours(
    stage: Stage, untouched: list[Any], value: Any
) -> None:
    for path, method, media_type, examples in with_body():
        for example in examples:
            for body in spoilt(example, value):
                send(stage, untouched, method, stage.address(path), json.dumps(body).encode(), media_type)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_text_in_any_address_is_no_failure_of_ours(
    stage: Stage, untouched: list[Any], text: str
) -> None:
    for path, method in OPERATIONS:
        for name in (names := stage.names(path)):
            send(stage, untouched, method, path.format_map({**names, name: text}))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_text_in_any_query_is_no_failure_of_ours(
    stage: Stage, untouched: list[Any], text: str
) -> None:
    for path, method in OPERATIONS:
        for parameter in DOCUMENT["paths"][path][method]["parameters"]:
            if parameter.get("in") == "query":
                send(stage, untouched, method, f"{stage.address(path)}?{parameter['name']}={text}")


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
def test_no_method_at_any_address_is_a_failure_of_ours(stage: Stage, method: str) -> None:
    answers = {path: stage.admin.request(method, stage.address(path)) for path in DOCUMENT["paths"]}
    assert {path: a.status_code for path, a in answers.items() if a.status_code >= 500} == {}


@pytest.mark.parametrize("path", ["/v2.1/servers", "/identity/v3/users", "/image/v2/images"])
def test_more_keys_in_a_query_than_django_takes_are_refused(stage: Stage, path: str) -> None:
    query = "&".join(f"key{number}=" for number in range(2000))
    assert stage.admin.get(f"{path}?{query}").status_code == 400
