"""Bodies that say nothing, or what no database could keep: 400, never 500."""

from __future__ import annotations

from uuid import uuid4

import pytest

from servers.models import Project
from tests.conftest import Caller
from tests.factories import make_server

ACTION = f"/v2.1/servers/{uuid4()}/action"


def backup(field: str) -> bytes:
    return b'{"createBackup": {"name": "b", "backup_type": ' + field.encode() + b', "rotation": 1}}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{bad",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"{}",
        b'{"migrate": null, "lock": null}',
        b"[]",
        b'["migrate", 1]',
        b'"migrate"',
        b'{"migrate": NaN}',
        b'{"migrate": -Infinity}',
        b'{"migrate": 1e999}',
        b'{"migrate": ' + b"9" * 5000 + b"}",
        b"[" * 50000 + b"]" * 50000,
        b'{"migrate": ' + b"[" * 20000 + b"]" * 20000 + b"}",
        backup(r'"\ud800"'),
        backup(r'"a\u0000b"'),
        b'{"\\ud800": null}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_body_that_cannot_be_read_is_malformed(member: Caller, body: bytes) -> None:
    response = member.post(ACTION, body)
    assert response.status_code == 400
    assert response.json() == {"badRequest": {"code": 400, "message": "Malformed request body"}}


@pytest.mark.parametrize("body", [b"null", b"true", b"1", b"1.5", b'["migrate"]', b'"x"'])
def test_body_without_keys_finds_nothing(member: Caller, body: bytes) -> None:
    response = member.post(ACTION, body)
    assert response.status_code == 404
    assert response.json() == {"itemNotFound": {"code": 404, "message": "The resource could not be found."}}


@pytest.mark.parametrize("name", ["CreateBackup", "", "force_complete", "migrate ", "__class__"])
def test_unknown_action_is_named(member: Caller, name: str) -> None:
    response = member.post(ACTION, {name: None})
    assert response.json()["badRequest"]["message"] == f"There is no such action: {name}"


def test_last_of_two_equal_keys_counts(admin: Caller, project: Project) -> None:
    server = make_server(project)
    body = b'{"os-resetState": {"state": "bad"}, "os-resetState": {"state": "error"}}'
    assert admin.post(f"/v2.1/servers/{server.uuid}/action", body).status_code == 202


def test_escaped_backslash_is_no_null_character(member: Caller, project: Project) -> None:
    server = make_server(project)
    response = member.post(f"/v2.1/servers/{server.uuid}/action", backup(r'"a\\u0000b"'))
    assert response.status_code == 202


@pytest.mark.parametrize("length", ["abc", "-1", "9" * 40])
def test_strange_content_length_is_no_error_of_ours(member: Caller, length: str) -> None:
    assert member.post(ACTION, b"{}", CONTENT_LENGTH=length).status_code < 500
