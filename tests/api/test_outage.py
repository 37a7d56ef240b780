"""REST without its database: 503 in the form of the service, at whatever address and whatever point of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import Error, IntegrityError, ProgrammingError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client

from servers.api.schema.refusals import Service
from servers.api.schema.routes import Route, described, routes
from servers.errors import DatabaseUnavailable
from servers.microversions import NEWEST, Microversion
from servers.models import User
from tests.addresses import addresses
from tests.api.identity.logging_in import password
from tests.api.schema.stage import build
from tests.blocked import OUTAGES, Blocked, blocked
from tests.conftest import Caller
from tests.factories import make_server, make_user

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TELL_OF_IT = {"/readyz", "/metrics", "/gantry/v1/health"}
"""What says in its own way that there is no database, as far as it may without one."""
REST = [
    path for path in addresses({"minor": ".1"}) if not path.startswith("/admin") and path not in TELL_OF_IT
]
ONE_OF_EACH = ("/v2.1/servers", "/identity/v3/projects", "/image/v2/images")
READABLE = [
    route
    for route in routes()
    for method, operation in route.operations(described())
    if method == "get" and not operation.public and route.path not in TELL_OF_IT
]
WRITES: dict[str, tuple[str, Any]] = {
    "/v2.1/servers/{idle}/action": ("POST", {"os-migrateLive": {"host": None, "block_migration": "auto"}}),
    "/v2.1/servers/{servers}/migrations/{migrations}": ("DELETE", {}),
    "/v2.1/os-services/{os-services}": ("PUT", {"status": "disabled"}),
    "/identity/v3/auth/tokens": ("POST", {"auth": {"identity": password()}}),
    "/image/v2/images/{images}": ("DELETE", {}),
}
OLD = Microversion.parse("2.35")
"""Before what has gone since."""
ENDLESS = 10_000
POINTS = 6
"""At how many of its queries a request is broken off, the first and the last among them."""


def service_of(path: str) -> Service:
    first = path.split("/")[1]
    return Service(first) if first in {"identity", "image"} else Service.COMPUTE


def assert_unavailable(response: HttpResponse, path: str) -> None:
    """Check that an answer is the 503 of the service to which the address belongs."""
    assert response.status_code == 503, (path, response.content)
    assert int(response["Retry-After"]) > 0
    assert response["x-openstack-request-id"].startswith("req-")
    code, message = 503, str(DatabaseUnavailable())
    service = service_of(path)
    forms = {
        Service.COMPUTE: {"serviceUnavailable": {"code": code, "message": message}},
        Service.IDENTITY: {"error": {"code": code, "message": message, "title": "Service Unavailable"}},
        Service.IMAGE: {"code": code, "message": message, "title": message},
    }
    assert json.loads(response.content) == forms[service]
    if service is Service.COMPUTE:
        assert response["x-compute-request-id"] == response["x-openstack-request-id"]


@pytest.mark.parametrize("method", METHODS)
def test_every_address_that_asks_the_database_answers_503_in_the_form_of_its_service(
    method: str, admin: Caller
) -> None:
    asked = 0
    for path in REST:
        with blocked() as block:
            response = admin.request(method, path, {})
        if block.met:
            assert_unavailable(response, path)
            asked += 1
        else:
            assert response.status_code < 500, (path, response.content)
    assert asked > len(REST) / 2


@pytest.mark.parametrize("path", ONE_OF_EACH)
@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_whatever_keeps_the_database_away_is_503(error: Error, path: str, admin: Caller) -> None:
    with blocked(error):
        assert_unavailable(admin.get(path), path)


@pytest.mark.parametrize("path", ONE_OF_EACH)
@pytest.mark.parametrize("error", [IntegrityError("twice"), ProgrammingError("no table")])
def test_a_mistake_of_ours_is_no_outage(error: Error, path: str, admin: Caller) -> None:
    with blocked(error):
        response = admin.get(path)
    assert response.status_code == 500 and "Retry-After" not in response


def break_off(caller: Caller, method: str, path: str, body: Any, version: Microversion = NEWEST) -> int:
    """Check that a request is answered with 503 wherever it is broken off; return what it is answered otherwise."""

    def ask(after: int) -> tuple[HttpResponse, Blocked]:
        with transaction.atomic():
            with blocked(after=after) as block:
                response = caller.request(method, path, body, str(version), X_Subject_Token=caller.secret)
            transaction.set_rollback(True)
        return response, block

    whole, block = ask(after=ENDLESS)
    for point in range(POINTS):
        response, broken = ask(after=round(point * (block.asked - 1) / (POINTS - 1)))
        assert broken.met
        assert_unavailable(response, path)
    return whole.status_code


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.path)
def test_what_is_read_is_503_wherever_it_is_broken_off(route: Route) -> None:
    stage = build()
    codes = [
        break_off(stage.admin, "GET", stage.address(route.path, version), b"", version)
        for version in (NEWEST, OLD)
    ]
    assert 500 not in codes


@pytest.mark.parametrize("template", WRITES)
def test_what_is_written_is_503_wherever_it_is_broken_off(template: str) -> None:
    stage = build()
    user = make_user(name="anna", default_project=stage.admin.project)
    user.set_password("secret")
    user.save()
    method, body = WRITES[template]
    names = {name: str(value) for name, value in stage.ids.items()} | {"idle": str(stage.idle.pk)}
    assert break_off(stage.admin, method, template.format_map(names), body) < 300


# ------------------------------------------------------------------------------------ outside the views


def queries_afterwards(get_response: Any) -> Any:
    """Return middleware that asks the database when the view is done."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        User.objects.exists()
        return response

    return middleware


def queries_before(get_response: Any) -> Any:
    """Return middleware that asks the database before there is a view."""

    def middleware(request: HttpRequest) -> HttpResponse:
        User.objects.exists()
        return get_response(request)

    return middleware


@pytest.mark.parametrize("middleware", ["queries_before", "queries_afterwards"])
@pytest.mark.parametrize("path", [*ONE_OF_EACH, "/v2.1", "/identity", "/image/versions", "/nowhere"])
def test_middleware_without_its_database_is_answered_like_the_view(
    path: str, middleware: str, settings: Any, admin: Caller
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.{middleware}"]
    admin.client = Client(raise_request_exception=False)
    with blocked():
        assert_unavailable(admin.get(path), path)


@pytest.mark.django_db(transaction=True)
def test_what_could_not_be_committed_is_503(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server(admin.project)
    commit, error = connection._commit, OUTAGES["full"]
    commits: list[int] = []

    def refuse() -> None:
        commits.append(1)
        connection._rollback()
        raise error

    path = f"/v2.1/servers/{server.pk}/action"
    monkeypatch.setattr(connection, "_commit", refuse)
    refused = admin.post(path, {"os-resetState": {"state": "error"}}, "latest")
    monkeypatch.setattr(connection, "_commit", commit)
    assert commits
    assert_unavailable(refused, path)
    server.refresh_from_db()
    assert server.vm_state == "active"
    assert admin.post(path, {"os-resetState": {"state": "error"}}, "latest").status_code == 202
