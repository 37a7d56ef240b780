"""What the document's schema of a request refuses, its service refuses: 400 in the service's form, and no secret in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from servers.api.schema.refusals import Service
from servers.api.schema.routes import described, routes
from servers.api.validation import formats
from tests.api.identity.logging_in import PROJECT_BY_NAME, by_credential, by_token, password
from tests.api.schema.stage import Stage, build
from tests.fuzz.rows import rows

pytestmark = pytest.mark.django_db
SECRET = "correct-horse"
ODD: list[Any] = [
    None,
    True,
    0,
    1.5,
    10**400,
    "",
    "x",
    "x" * 5000,
    "\U0001f600" * 255,
    [],
    {},
    [None],
    {"x": {}},
]
"""Values of every type."""
QUOTING: list[Any] = [[SECRET], {SECRET: SECRET}, SECRET * 400, [{"name": SECRET}]]
"""Values that a refusal might quote."""
IDENTITIES = [
    password(),
    by_token("x"),
    by_credential(id="x", secret="y"),
    by_credential(name="x", secret="y", user={"name": "anna", "domain": {"id": "default"}}),
]
SCOPES = [PROJECT_BY_NAME, {"project": {"id": "x"}}, {"system": {"all": True}}, "unscoped"]
LOGINS = [
    *({"auth": {"identity": identity}} for identity in IDENTITIES),
    *({"auth": {"identity": by_token("x"), "scope": scope}} for scope in SCOPES),
]
CREDENTIAL = {
    "name": "nightly",
    "description": "for a script",
    "secret": "sixteen letters!",
    "roles": [{"name": "member"}],
    "expires_at": "2100-01-01T00:00:00Z",
    "unrestricted": False,
    "access_rules": [],
}
MORE = {
    "/identity/v3/auth/tokens": LOGINS,
    "/identity/v3/users/{user_id}/application_credentials": [{"application_credential": CREDENTIAL}],
    "/image/v2/images/{image_id}": [
        [{"op": "add", "path": "/mine", "value": "x"}, {"op": "remove", "path": "/mine"}]
    ],
}
"""Good bodies, besides the examples of the document."""


@dataclass(frozen=True)
class Request:
    """A request with a body, as the document describes it."""

    service: Service
    method: str
    path: str
    schema: dict[str, Any]
    media_type: str
    good: tuple[Any, ...]

    def send(self, stage: Stage, body: Any) -> Any:
        """Return the answer to the request with this body."""
        data = json.dumps(body).encode()
        return stage.admin.request(
            self.method.upper(), stage.address(self.path), data, Content_Type=self.media_type
        )


def requests() -> Iterator[Request]:
    """Return every request of which the view itself says what its body is."""
    known = described()
    for route in routes():
        for method, operation in route.operations(known):
            bodies = getattr(route.view, "bodies", None)
            if isinstance(bodies, Mapping) and method in bodies:
                good = (*operation.examples.values(), *MORE.get(route.path, ()))
                yield Request(route.service, method, route.path, bodies[method], operation.media_type, good)


REQUESTS = list(requests())


@pytest.fixture(autouse=True)
def fast_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def spoilt(value: Any, odd: list[Any]) -> Iterator[Any]:
    """Return copies of a body: in each a member is missing, or odd."""
    yield from odd
    places: list[Any] = list(value) if isinstance(value, dict) else []
    places = list(range(len(value))) if isinstance(value, list) else places
    for place in places:
        without = value.copy()
        del without[place]
        yield without
        for other in spoilt(value[place], odd):
            copy = value.copy()
            copy[place] = other
            yield copy


def all_spoilt(request: Request, odd: list[Any]) -> list[Any]:
    """Return every good body of a request spoilt, each once."""
    found = {json.dumps(body): body for good in request.good for body in spoilt(good, odd)}
    return list(found.values())


def test_every_request_with_a_body_is_tried() -> None:
    assert {request.path for request in REQUESTS} >= set(MORE)
    for request in REQUESTS:
        Draft202012Validator.check_schema(request.schema)
        for body in request.good:
            Draft202012Validator(request.schema, format_checker=formats).validate(body)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.path)
def test_what_the_schema_refuses_is_a_bad_request_and_changes_nothing(request_: Request) -> None:
    stage, refusals = build(), 0
    before = rows()
    check = Draft202012Validator(request_.schema, format_checker=formats)
    form = Draft202012Validator(request_.service.bodies(400)["application/json"])
    for body in (odd for odd in all_spoilt(request_, ODD) if not check.is_valid(odd)):
        answer = request_.send(stage, body)
        assert answer.status_code == 400, (body, answer.content)
        form.validate(answer.json())
        refusals += 1
    assert refusals > 10 and rows() == before


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.path)
def test_what_the_schema_lets_pass_is_no_failure_of_ours(request_: Request) -> None:
    stage = build()
    check = Draft202012Validator(request_.schema, format_checker=formats)
    for body in (odd for odd in all_spoilt(request_, ODD) if check.is_valid(odd)):
        answer = request_.send(stage, body)
        assert answer.status_code < 500, (body, answer.content)


@pytest.mark.parametrize(
    "request_", [r for r in REQUESTS if r.service is Service.IDENTITY], ids=lambda request: request.path
)
def test_no_refusal_of_the_identity_service_repeats_what_was_said(request_: Request) -> None:
    stage, refusals = build(), 0
    for body in all_spoilt(request_, QUOTING):
        answer = request_.send(stage, body)
        if answer.status_code >= 400:
            assert SECRET not in answer.content.decode(), body
            refusals += 1
    assert refusals > 10
