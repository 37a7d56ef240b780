"""What the doors answer has the shape that the document says, in every microversion that changes something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.api.schema import generator
from servers.api.schema.operation import Operation
from servers.api.schema.refusals import Service
from servers.api.schema.routes import Route, described, routes
from servers.microversions import HISTORY, NEWEST, Microversion
from tests.api.schema.stage import Stage, build

pytestmark = pytest.mark.django_db

KNOWN = described()
READABLE = [
    (route, operation)
    for route in routes()
    for method, operation in route.operations(KNOWN)
    if method == "get" and any(reply.shape for reply in operation.replies)
]


def turning_points() -> Iterator[Microversion]:
    """Return the first microversion, and each that begins or ends something in the document."""
    text = json.dumps(generator.document(), default=str)
    begun = set(re.findall(r'"min-ver": "([\d.]+)"', text))
    ended = set(re.findall(r'"max-ver": "([\d.]+)"', text))
    after = {HISTORY[HISTORY.index(v) + 1] for v in ended if Microversion.parse(v) < NEWEST}
    return map(Microversion.parse, sorted({HISTORY[0], *begun, *after}, key=HISTORY.index))


VERSIONS = list(turning_points())


def ask(stage: Stage, route: Route, version: Microversion) -> Any:
    address = stage.address(route.path, version)
    return stage.admin.get(address, str(version), X_Subject_Token=stage.admin.secret)


@pytest.mark.parametrize(("route", "operation"), READABLE, ids=[route.path for route, _ in READABLE])
def test_answer_has_the_shape_of_its_version_to_the_last_field(route: Route, operation: Operation) -> None:
    stage = build()
    versions = VERSIONS if route.service is Service.COMPUTE else [NEWEST]
    shown = 0
    for version in versions:
        response = ask(stage, route, version)
        if response.status_code == 404 and version != versions[0]:
            continue  # it came later, or is gone
        shapes = {reply.status: reply.shape for reply in operation.replies}
        shape = shapes.get(response.status_code)
        if shape is None:
            assert response.status_code == 404, response.content
            continue
        Draft202012Validator(shape.at(version)).validate(response.json())
        shown += 1
    assert shown > 0


def test_a_field_that_is_missing_or_too_many_would_be_seen() -> None:
    stage = build()
    [(route, operation)] = [(r, o) for r, o in READABLE if r.path == "/v2.1/servers/{server_id}"]
    answer = ask(stage, route, NEWEST).json()
    [shape] = [reply.shape for reply in operation.replies]
    check = Draft202012Validator(shape.at(NEWEST))  # type: ignore[union-attr]
    assert check.is_valid(answer)
    assert not check.is_valid({"server": {**answer["server"], "more": 1}})
    del answer["server"]["locked_reason"]
    assert not check.is_valid(answer)


def test_the_document_is_served_as_json_as_yaml_and_as_a_page_without_anything_from_elsewhere(
    client: Any,
) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert b"os-migrateLive_2.25-2.29" in client.get("/openapi.yaml").content
    page = client.get("/openapi").content.decode()
    assert "os-migrateLive" in page and "2.25 to 2.29" in page
    assert re.findall(r'(?:src|href)="(?!#|/openapi\.|/static/)', page) == []


def test_a_lower_maximum_lowers_the_document(settings: Any) -> None:
    settings.MAX_MICROVERSION = "2.20"
    document = generator.document()
    assert "os-migrateLive_2.1-2.20" in document["components"]["schemas"]
    assert not [name for name in document["components"]["schemas"] if "2.25" in name]


@pytest.mark.parametrize("address", ["/openapi", "/openapi.json", "/openapi.yaml"])
def test_strangers_who_ask_again_and_again_have_it_made_once(
    address: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get(address).content

    def again(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(generator.Generator, "get_schema", again)
    for accept in ("application/json", "text/html", "*/*", "x/1"):
        assert client.get(f"{address}?x={accept}", headers={"Accept": accept}).content == first
