"""The comparison can fail: an expectation of each kind, mutated, is reported."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import compare
from tests.wire.data import expected

KNOWN: dict[str, Any] = {"server_id": "c1b5a7a4-97b8-4e22-9d8c-3a0ff4d7a001", "migration_id": 7}
FAULT = {"badRequest": {"code": 400, "message": "Value: 5. 5 is not of type 'string'"}}


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": None}, {"a": ""}),
        ("{server_id}", "c1b5a7a4-97b8-4e22-9d8c-3a0ff4d7a002"),
        ("{migration_id}", "7"),
        ("{migration_id}", 8),
        ("{timestamp}", "yesterday"),
        ("{image_id}", "7"),
        ("{traceback}", ""),
        ("Instance {server_id} is locked", "Instance x is locked"),
        ("a.c", "abc"),
    ],
)
def test_other_value_is_reported(wanted: Any, actual: Any) -> None:
    assert compare.differences(wanted, actual, KNOWN)


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ("{migration_id}", 7),
        ("Instance {server_id} is locked", f"Instance {KNOWN['server_id']} is locked"),
        ("{timestamp}", "2026-11-23T10:00:00.000000"),
        ({"a": ["{request_id}"]}, {"a": ["req-c1b5a7a4-97b8-4e22-9d8c-3a0ff4d7a001"]}),
    ],
)
def test_expected_value_is_not_reported(wanted: Any, actual: Any) -> None:
    assert compare.differences(wanted, actual, KNOWN) == []


def test_prefix_looks_at_the_beginning_of_the_message_and_at_the_rest_exactly() -> None:
    expect = {"body": FAULT, "message_match": "prefix", "message_prefix": "Value: "}
    other_text = {"badRequest": {"code": 400, "message": "Value: other"}}
    assert compare.body_differences(expect, other_text, KNOWN) == []
    assert compare.body_differences(expect, {"badRequest": {"code": 400, "message": "No"}}, KNOWN)
    assert compare.body_differences(expect, {"badRequest": {"code": 409, "message": "Value: "}}, KNOWN)
    assert compare.body_differences(expect, {"conflict": {"code": 400, "message": "Value: "}}, KNOWN)


def test_subset_permits_more_keys_and_no_other_values() -> None:
    expect = {"body_subset": {"server": {"status": "ACTIVE"}}}
    assert compare.body_differences(expect, {"server": {"status": "ACTIVE", "id": 1}}, KNOWN) == []
    assert compare.body_differences(expect, {"server": {"status": "ERROR"}}, KNOWN)


def test_headers_are_compared_and_unwanted_ones_reported() -> None:
    expect = {"headers": {"Vary": "A", "Content-Type": "text/plain"}, "headers_absent": ["Location"]}
    good = {"Vary": "A", "Content-Type": "text/plain"}
    assert compare.header_differences(expect, good, KNOWN, empty=False) == []
    assert compare.header_differences(expect, {**good, "Vary": "B"}, KNOWN, empty=False)
    assert compare.header_differences(expect, {"Vary": "A"}, KNOWN, empty=False)
    assert compare.header_differences(expect, {"Vary": "A"}, KNOWN, empty=True) == []
    assert compare.header_differences(expect, {**good, "Location": "x"}, KNOWN, empty=False)


@pytest.mark.parametrize("key", ["vm_state", "task_state", "instance_action", "migration_status", "events"])
def test_what_the_database_holds_is_compared(key: str) -> None:
    held = {
        "vm_state": "active",
        "task_state": None,
        "instance_action": "migrate",
        "migration_status": ["error"],
        "events": [],
    }
    expect = {"after": {**held, "dispatched": ["ignored"]}}
    assert compare.after_differences(expect, held, KNOWN) == []
    assert compare.after_differences(expect, {**held, key: "other"}, KNOWN)


def test_ours_comes_before_what_was_measured() -> None:
    row = {
        "expect": {
            "status": 500,
            "body": {"computeFault": {}},
            "after": {"vm_state": "error", "task_state": None},
        },
        "ours": {"status": 409, "body": FAULT, "after": {"vm_state": "active"}},
    }
    assert expected(row) == {
        "status": 409,
        "body": FAULT,
        "after": {"vm_state": "active", "task_state": None},
    }
