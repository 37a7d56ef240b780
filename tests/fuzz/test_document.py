"""Whatever is sent to whichever address, the answer is one that the document foresees, and never a failure of ours.

FUZZ_EXAMPLES says how many requests are made up, 200 where it does not: `make fuzz` makes 2,000.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from servers.api.schema import generator
from servers.models import ActionRecord, ApplicationCredential, Host, Image, Migration, Server
from tests.api.schema.stage import Stage, build
from tests.conftest import HTTP, Caller
from tests.fuzz.made_up import Made, Maker

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
DOCUMENT = json.loads(json.dumps(generator.document(), default=str))
OPERATIONS = [(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods]
ACTIONS = [operation for operation in OPERATIONS if operation[0].endswith("/action")]
PARTS = {"compute": ("/v2.1", 0.6), "identity": ("/identity", 0.25), "image": ("/image", 0.15)}


def rows() -> list[Any]:
    """Return what a request could change."""
    return [
        list(Server.objects.order_by("pk").values()),
        list(Host.objects.order_by("pk").values()),
        list(Image.objects.order_by("pk").values()),
        list(Migration.objects.order_by("pk").values()),
        ActionRecord.objects.count(),
        ApplicationCredential.objects.count(),
    ]


@cache
def validator(template: str, method: str, code: str, media_type: str) -> Draft202012Validator | None:
    """Return what checks a body, None for an answer that has none. Raises KeyError for one that is not foreseen."""
    response = DOCUMENT["paths"][template][method]["responses"][code]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if "content" not in response:
        return None
    schema = response["content"][media_type].get("schema", {})
    if media_type != "application/json":
        return Draft202012Validator({})
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def send(made: Made, callers: dict[str, Caller]) -> HttpResponse:
    headers = dict(made.headers)
    if made.role is not None:
        headers["X-Auth-Token"] = callers[made.role].secret
    media_type = headers.pop("Content-Type", "application/json")
    return HTTP.generic(  # type: ignore[return-value]
        made.method.upper(), made.path, made.body or b"", content_type=media_type, headers=headers
    )


NOT_IMPLEMENTED = 501
"""Nova's answer to what no driver can tell, where the document says so: no failure."""


def check(made: Made, response: HttpResponse) -> None:
    """Raise AssertionError for an answer that the document does not foresee."""
    said = b"" if response.streaming else response.content
    assert response.status_code < 500 or response.status_code == NOT_IMPLEMENTED, said
    known = DOCUMENT["paths"][made.template][made.method]["responses"]
    assert str(response.status_code) in known, said
    assert response["x-openstack-request-id"].startswith("req-")
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    if said:
        found = validator(made.template, made.method, str(response.status_code), media_type)
        assert found is not None, "a body where none is foreseen"
        if media_type == "application/json":
            found.validate(json.loads(said))


@pytest.fixture
def stage() -> Stage:
    return build()


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


@pytest.mark.parametrize("part", PARTS)
def test_every_answer_is_one_that_the_document_foresees(stage: Stage, part: str) -> None:
    prefix, share = PARTS[part]
    own = [operation for operation in [*OPERATIONS, *ACTIONS * 6] if operation[0].startswith(prefix)]
    maker = Maker(DOCUMENT, stage.address)
    callers = {"admin": stage.admin, "reader": Caller(stage.admin.project, "reader")}
    requests = st.sampled_from(own).flatmap(lambda operation: maker.requests(*operation))

    @settings(max_examples=round(EXAMPLES * share), deadline=None, suppress_health_check=list(HealthCheck))
    @given(made=requests)
    def every_answer(made: Made) -> None:
        with transaction.atomic():
            before = rows()
            response = send(made, callers)
            note(f"{response.status_code}")
            check(made, response)
            if response.status_code >= 400 and made.template not in {path for path, _ in ACTIONS}:
                assert rows() == before
            transaction.set_rollback(True)

    every_answer()
