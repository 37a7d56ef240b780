"""What is wrong with a request's body is said with the member's place, and without its value."""

from __future__ import annotations

from typing import Any

import pytest

from servers.api.faults import Malformed
from servers.api.identity.tokens import LOGIN
from servers.api.image.changes import PATCH
from servers.api.validation import bounded_text, read_json, violation

SIZES = {
    "type": "object",
    "properties": {
        "word": {"enum": ["small", "large", None]},
        "name": bounded_text(3, shortest=1),
        "sizes": {"type": ["array", "null"], "maxItems": 2, "items": {"type": "integer"}},
        "until": {"type": "string", "format": "date-time"},
        "kind": {"anyOf": [{"const": "any"}, {"type": "object", "properties": {"id": {"type": "string"}}}]},
        "even": {"description": "an even number", "multipleOf": 2},
        "third": {"multipleOf": 3},
    },
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "web"}, None),
        (5, "The request body must be of type object."),
        ({}, "name is required."),
        ({"name": ""}, "name must have at least 1 characters."),
        ({"name": "much too long"}, "name must have at most 3 characters."),
        ({"name": "web", "word": "huge"}, "word must be one of small, large, null."),
        ({"name": "web", "sizes": {}}, "sizes must be of type array, null."),
        ({"name": "web", "sizes": [1, 2, 3]}, "sizes must have at most 2 items."),
        ({"name": "web", "sizes": [1, "2"]}, "sizes[1] must be of type integer."),
        ({"name": "web", "until": "tomorrow"}, "until must be a date-time."),
        ({"name": "web", "until": "0001-01-01T00:00:00+23:59"}, "until must be a date-time."),
        ({"name": "web", "kind": {"id": 5}}, "kind.id must be of type string."),
        ({"name": "web", "even": 5}, "even must be an even number."),
        ({"name": "web", "third": 5}, "third is not as its schema says."),
    ],
)
def test_sentence_says_which_member_offends_and_how(body: Any, said: str | None) -> None:
    assert violation(body, SIZES) == said


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({}, "auth.identity.methods is required."),
        ({"methods": ["token"]}, "auth.identity.token is required."),
        (
            {"methods": ["x"]},
            "auth.identity.methods must be one of application_credential, password, token; or password and totp.",
        ),
        (
            {"methods": ["password"], "password": {"user": {"name": "anna", "password": "x"}}},
            "auth.identity.password.user must be an object with an id, or with a name and its domain.",
        ),
    ],
)
def test_login_is_told_what_it_lacks(identity: Any, said: str) -> None:
    assert violation({"auth": {"identity": identity}}, LOGIN) == said


def test_patch_is_told_which_operation_is_wrong() -> None:
    good = {"op": "add", "path": "/mine", "value": "x"}
    assert violation([good, {**good, "value": 5}], PATCH) == "[1].value must be of type string."


def test_a_value_that_is_nested_too_deeply_is_malformed() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Malformed):
        violation({"name": deep}, SIZES)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[NaN]", b"[1e999]", b'["\\ud800"]', b'["\\u0000"]', b"[" * 100_000, b"1" * 5000]
)
def test_what_no_database_keeps_is_malformed(rf: Any, body: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(rf.post("/", body, content_type="application/json"))


def test_a_backslash_before_the_name_of_a_zero_byte_is_a_text(rf: Any) -> None:
    assert read_json(rf.post("/", b'"\\\\u0000"', content_type="application/json")) == "\\u0000"
