"""Bodies that nobody would send in good faith: each is refused, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.actions import registry
from servers.models import ActionRecord, Image, Server
from tests.conftest import Caller
from tests.factories import make_server

pytestmark = pytest.mark.django_db

NAMES = sorted({a.wire_name for a in registry.values() if a.wire_name and not a.on_migration})
VERSIONS = ["2.1", "2.24", "2.25", "2.30", "2.44", "2.45", "2.56", "2.68", "2.73", "2.104"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**30, max_value=10**400)
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "\x00", "a" * 70000, "auto", "-1", "1" * 5000])
)
keys = st.text() | st.sampled_from(
    ["host", "block_migration", "disk_over_commit", "force", "name", "backup_type", "rotation", "metadata"]
)
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(keys, v), max_leaves=12)
bodies = st.one_of(
    st.builds(lambda name, value: {name: value}, st.sampled_from(NAMES) | st.text(), values),
    st.dictionaries(st.sampled_from(NAMES), values),
    values,
)


def rows() -> list[Any]:
    """Return all that a request could change."""
    servers = Server.objects.values_list("uuid", "vm_state", "task_state", "locked_by", "revision")
    return [*servers, ActionRecord.objects.count(), Image.objects.count()]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies, version=st.sampled_from(VERSIONS))
def test_made_up_body_by_somebody_without_rights_is_refused(reader: Caller, body: Any, version: str) -> None:
    server = Server.objects.first() or make_server(reader.project)
    before = rows()
    response = reader.post(f"/v2.1/servers/{server.uuid}/action", body, version)
    assert 400 <= response.status_code < 500, response.content
    assert rows() == before


@pytest.mark.parametrize(
    "raw",
    [
        b'{"migrate": NaN}',
        b'{"os-resetState": {"state": Infinity}}',
        b"[" * 50000,
        b'{"migrate":' * 20000 + b"null" + b"}" * 20000,
        b'{"createBackup": {"name": "\\ud800", "backup_type": "d", "rotation": 1}}',
        b'{"createBackup": {"name": "a\\u0000b", "backup_type": "d", "rotation": 1}}',
        b'{"createBackup": {"name": "b", "backup_type": "d", "rotation": 1' + b"0" * 5000 + b"}}",
        b'{"createBackup": {"name": "b", "backup_type": "d", "rotation": -1}, "createBackup": null}',
        b'{"os-resetState": {"state": "' + b"x" * 200 * 1024 + b'"}}',
        b"\xff\xfe\x00",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("version", ["2.1", "2.60", "2.104"])
def test_hostile_body_by_an_admin_is_refused(admin: Caller, raw: bytes, version: str) -> None:
    server = make_server(admin.project)
    before = rows()
    response = admin.request("POST", f"/v2.1/servers/{server.uuid}/action", raw, version)
    assert 400 <= response.status_code < 500, response.content[:300]
    assert rows() == before


def test_duplicate_key_means_the_last_one(admin: Caller) -> None:
    server = make_server(admin.project)
    raw = b'{"os-resetState": {"state": "active", "state": "error"}}'
    assert admin.request("POST", f"/v2.1/servers/{server.uuid}/action", raw).status_code == 202
    assert Server.objects.get().vm_state == "error"
    assert json.loads(raw)["os-resetState"]["state"] == "error"
