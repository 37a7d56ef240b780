"""Bodies that nobody would send in good faith: each is refused, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from servers.actions import Action, registry
from servers.api.compute.schemas import action_schema
from servers.api.compute.validation import formats
from servers.api.schema.actions import bodies as bodies_of
from servers.api.schema.actions import on_servers
from servers.microversions import Microversion
from servers.models import ActionRecord, Image, Server
from tests.conftest import Caller
from tests.factories import make_server

pytestmark = pytest.mark.django_db

ON_SERVERS = on_servers()
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


@st.composite
def changed(draw: Any, value: Any) -> Any:
    """Return a value with something else somewhere in it."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(changed(value[name]))}
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(keys): draw(values)}
    return draw(values)


def invalid_bodies(action: type[Action], version: Microversion) -> st.SearchStrategy[Any]:
    """Return bodies of an action that its schema refuses: good ones in which something is changed."""
    schema = action_schema(action, version)
    valid = Draft202012Validator(schema, format_checker=formats).is_valid
    good = st.sampled_from([{action.wire_name: example.value} for example in action.examples])
    return good.flatmap(changed).filter(lambda body: isinstance(body, dict) and not valid(body))


@pytest.mark.parametrize("action", ON_SERVERS, ids=lambda a: a.slug)
def test_body_that_breaks_the_schema_of_its_action_is_refused_for_an_admin(
    admin: Caller, action: type[Action]
) -> None:
    server = make_server(admin.project)
    before = rows()
    versions = st.sampled_from([body.since for body in bodies_of(action)])

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(asked=versions.flatmap(lambda v: st.tuples(st.just(str(v)), invalid_bodies(action, v))))
    def is_refused(asked: tuple[str, Any]) -> None:
        version, body = asked
        response = admin.post(f"/v2.1/servers/{server.uuid}/action", body, version)
        assert 400 <= response.status_code < 500, response.content
        assert rows() == before

    is_refused()


HOSTILE = {
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a number without end": "1e999",
    "half a surrogate pair": '"\\ud800"',
    "NUL": '"a\\u0000"',
    "an integer of 5,000 digits": "9" * 5000,
    "20,000 lists in each other": "[" * 20000 + "]" * 20000,
    "20,000 objects in each other": '{"a":' * 20000 + "1" + "}" * 20000,
    "200 KiB": '"' + "x" * 200 * 1024 + '"',
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("action", ON_SERVERS, ids=lambda a: a.slug)
def test_hostile_value_is_refused_by_every_action(admin: Caller, action: type[Action], hostile: str) -> None:
    server = make_server(admin.project)
    before = rows()
    names = ["", *{p.name for p in action.parameters if not p.in_path}]
    for name in names:
        value = f'{{"{name}": {HOSTILE[hostile]}}}' if name else HOSTILE[hostile]
        raw = f'{{"{action.wire_name}": {value}}}'.encode()
        for body in bodies_of(action):
            path = f"/v2.1/servers/{server.uuid}/action"
            response = admin.request("POST", path, raw, str(body.since))
            assert 400 <= response.status_code < 500, response.content[:300]
    assert rows() == before


@pytest.mark.parametrize("action", ON_SERVERS, ids=lambda a: a.slug)
def test_second_action_in_a_body_is_refused_however_good_the_first_is(
    admin: Caller, action: type[Action]
) -> None:
    server = make_server(admin.project)
    before = rows()
    other = "unlock" if action.wire_name != "unlock" else "lock"
    body = {action.wire_name: None, other: None}
    assert admin.post(f"/v2.1/servers/{server.uuid}/action", body).status_code == 400
    assert rows() == before


def test_duplicate_key_means_the_last_one(admin: Caller) -> None:
    server = make_server(admin.project)
    raw = b'{"os-resetState": {"state": "active", "state": "error"}}'
    assert admin.request("POST", f"/v2.1/servers/{server.uuid}/action", raw).status_code == 202
    assert Server.objects.get().vm_state == "error"
    assert json.loads(raw)["os-resetState"]["state"] == "error"
