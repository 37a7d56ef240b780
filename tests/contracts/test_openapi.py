"""The OpenAPI document says what the doors do: no route, no action, no version and no answer is missing or wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator

from servers.actions import Action, registry
from servers.actions.base import Example
from servers.api.compute.schemas import action_schema
from servers.api.schema import generator
from servers.api.schema.actions import bodies
from servers.api.schema.routes import METHODS, NOT_FOUND_VIEWS
from servers.api.view import ServiceView
from servers.microversions import HISTORY, Microversion
from servers.models import Project
from tests.contracts.test_policy_matrix import prepared
from tests.factories import make_token, make_user
from tests.wire import data

MISSION = {"createBackup", "injectNetworkInfo", "migrate", "os-migrateLive", "resetNetwork", "os-resetState"}
ON_WIRE = [action for action in registry.values() if action.wire_name]
EXAMPLES = [(action, example) for action in ON_WIRE for example in action.examples]
NAMES = [f"{action.wire_name} {example.version}" for action, example in EXAMPLES]


@cache
def document() -> dict[str, Any]:
    """Return the document as a client gets it."""
    return json.loads(json.dumps(generator.document(), default=str))


def leaves(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, type]]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from leaves(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern):
            callback: Any = pattern.callback
            view = getattr(callback, "view_class", None) or getattr(callback, "cls", None)
            if isinstance(view, type) and issubclass(view, ServiceView):
                yield address, view


def addresses() -> set[tuple[str, str]]:
    """Return path and method of everything that the URL configuration leads to, below `/v2.1` and without a project."""
    found = set()
    for address, view in leaves(get_resolver().url_patterns):
        if view in NOT_FOUND_VIEWS or view.__name__ == "NothingHere":
            continue
        path = address.replace(r"(?P<minor>\.1)?", ".1").replace("(?:(?P<project_id>[0-9a-f-]+)/)?", "")
        path = re.sub(r"<str:(\w+)>", r"{\1}", re.sub(r"\^|/\?\\Z", "", path))
        path = "/v2.1/" if path == "v2.1" else f"/{path}"
        found |= {(path, m) for m in METHODS if hasattr(view, m) and m in view.http_method_names}
    return found


def test_document_is_valid_openapi_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))


def test_every_route_of_the_doors_stands_in_it() -> None:
    described = {(path, method) for path, methods in document()["paths"].items() for method in methods}
    assert described == addresses() | {("/", "get")}


@pytest.mark.parametrize("action", ON_WIRE, ids=lambda a: a.slug)
def test_every_microversion_of_an_action_has_its_body_and_only_that(action: type[Action]) -> None:
    components = document()["components"]["schemas"]
    for version in map(Microversion.parse, HISTORY):
        found = [b for b in bodies(action) if b.since <= version <= b.until]
        if not version.between(action.since, None):
            assert found == []
            continue
        [body] = found
        assert bare(components[body.name]) == bare(action_schema(action, version))


def bare(schema: Any) -> Any:
    """Return a schema without what only people read."""
    if isinstance(schema, dict):
        words = {"title", "description", "x-openstack"}
        return {key: bare(value) for key, value in schema.items() if key not in words}
    return [bare(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("action", ON_WIRE, ids=lambda a: a.slug)
def test_every_body_can_be_sent_to_the_address_of_its_action(action: type[Action]) -> None:
    path = "/v2.1/servers/{server_id}/" + ("migrations/{migration_id}/" if action.on_migration else "")
    operation = document()["paths"][f"{path}action"]["post"]
    refs = [r["$ref"] for r in operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]]
    assert {f"#/components/schemas/{body.name}" for body in bodies(action)} <= set(refs)
    assert operation["x-openstack"]["actions"][action.wire_name]["faults"] == [f.code for f in action.errors]


def test_every_action_of_the_mission_has_an_example_for_each_shape_of_its_body() -> None:
    assert {action.wire_name for action in ON_WIRE} >= MISSION
    for action in ON_WIRE:
        for body in bodies(action):
            versions = [Microversion.parse(example.version) for example in action.examples]
            assert any(body.since <= version <= body.until for version in versions), body.name


@pytest.mark.parametrize(("action", "example"), EXAMPLES, ids=NAMES)
def test_example_keeps_to_its_schema(action: type[Action], example: Example) -> None:
    version = Microversion.parse(example.version)
    [body] = [b for b in bodies(action) if b.since <= version <= b.until]
    Draft202012Validator(document()["components"]["schemas"][body.name]).validate(
        {action.wire_name: example.value}
    )


@pytest.mark.django_db
@pytest.mark.parametrize(("action", "example"), EXAMPLES, ids=NAMES)
def test_example_is_accepted(action: type[Action], example: Example) -> None:
    server = prepared(action)
    project = Project.objects.get(pk=server.project_id)
    headers = {
        "X-Auth-Token": make_token(make_user(), project, ["admin"]),
        "OpenStack-API-Version": f"compute {example.version}",
    }
    path = f"/v2.1/servers/{server.uuid}"
    if action.on_migration:
        path += f"/migrations/{server.migrations.get().pk}"
    response = Client().post(
        f"{path}/action",
        json.dumps({action.wire_name: example.value}),
        content_type="application/json",
        headers=headers,
    )
    assert response.status_code in {202, 204}, response.content
    assert (
        str(response.status_code) in document()["paths"][template_of(path + "/action")]["post"]["responses"]
    )


def template_of(path: str) -> str | None:
    """Return the path of the document that an address belongs to, the one with the fewest names in it."""
    path = re.sub(r"^/v2(\.1)?/(?=[^/]+/servers|\{project_id\})[^/]+/", "/v2.1/", path.partition("?")[0])
    fitting = [
        template
        for template in document()["paths"]
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)
    ]
    return min(fitting, key=lambda template: template.count("{"), default=None)


def test_every_status_that_nova_was_seen_to_answer_is_documented() -> None:
    seen = set()
    for row in data.rows():
        template = template_of(row["path"])
        method = row["method"].lower()
        if template is not None and method in document()["paths"][template]:
            seen.add((template, method, str(row["expect"]["status"])))
    assert len(seen) > 40
    undocumented = [s for s in seen if s[2] not in document()["paths"][s[0]][s[1]]["responses"]]
    assert undocumented == []
