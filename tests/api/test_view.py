"""What holds at every service: one order of checks, one way from an error to an answer, each in its own form."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from django.http import HttpResponse
from django.test import Client

from servers.api.view import ServiceView
from servers.audit import reading
from servers.errors import IdentityUnavailable
from servers.models import Project
from tests.conftest import Caller
from tests.factories import make_host, make_image

pytestmark = pytest.mark.django_db

ADDRESSES = {
    "compute": "/v2.1/servers",
    "identity": "/identity/v3/projects",
    "image": "/image/v2/images",
    "gantry": "/gantry/v1/actions",
}
BEYOND_ALL = 16 * 1024 * 1024 + 1
everywhere = pytest.mark.parametrize("path", ADDRESSES.values(), ids=ADDRESSES)


def said(response: HttpResponse) -> tuple[int, str]:
    """Return code and message of a refusal, in whatever form it is."""
    body = json.loads(response.content)
    body = body if "message" in body else next(iter(body.values()))
    return response.status_code, body["message"]


@everywhere
def test_size_is_looked_at_before_the_token(path: str) -> None:
    length: dict[str, Any] = {"CONTENT_LENGTH": str(BEYOND_ALL)}
    assert Client().post(path, b"{}", content_type="application/json", **length).status_code == 413


@everywhere
def test_token_is_looked_at_before_the_method(path: str) -> None:
    assert Client().generic("BREW", path).status_code == 401


@pytest.mark.parametrize("service", ["identity", "image", "gantry"])
def test_method_that_an_address_lacks_is_405_with_those_that_it_has(admin: Caller, service: str) -> None:
    response = admin.put(ADDRESSES[service], b"{bad")
    assert said(response) == (405, "The method is not allowed for the requested URL.")
    assert "GET" in response["Allow"].split(", ") and "PUT" not in response["Allow"]


def test_body_is_looked_at_before_what_the_address_names(admin: Caller, project: Project) -> None:
    assert said(admin.post("/identity/v3/users/nobody/application_credentials", b"{bad")) == (
        400,
        "Malformed request body",
    )
    patch = "application/openstack-images-v2.1-json-patch"
    assert admin.request("PATCH", "/image/v2/images/none", b"{bad", Content_Type=patch).status_code == 400
    assert admin.request("PATCH", "/image/v2/images/none", b"{bad").status_code == 415


def test_body_that_breaks_the_schema_of_its_view_is_refused_in_the_form_of_the_service(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"type": "object", "properties": {"auth": {"type": "object"}}}
    monkeypatch.setattr("servers.api.identity.tokens.Tokens.bodies", {"post": schema})
    response = admin.post("/identity/v3/auth/tokens", {"auth": "secret"})
    assert (response.status_code, json.loads(response.content)["error"]["title"]) == (400, "Bad Request")
    assert b"auth" in response.content and b"secret" not in response.content


@everywhere
def test_address_that_leads_nowhere_is_404_with_whatever_method(admin: Caller, path: str) -> None:
    nowhere = path.rpartition("/")[0] + "/nowhere"
    for method in ("GET", "POST", "DELETE", "OPTIONS", "BREW"):
        assert admin.request(method, nowhere, b"{bad").status_code == 404


@everywhere
def test_error_that_nobody_has_foreseen_is_500_in_the_form_of_the_service_and_logged_with_its_request(
    admin: Caller, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ServiceView, request: Any) -> None:
        raise KeyError("secret")

    monkeypatch.setattr(ServiceView, "check_body", fail)
    with structlog.testing.capture_logs() as logged:
        response = admin.get(path)
    code, message = said(response)
    assert code == 500 and "nexpected" in message and "secret" not in message
    (line,) = logged
    found = (line["event"], line["path"], line["request_id"])
    assert found == ("request.failed", path, response["x-openstack-request-id"])


@everywhere
def test_service_that_does_not_answer_is_503_that_says_when_to_ask_again(
    admin: Caller, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(request: Any, request_id: str) -> None:
        raise IdentityUnavailable

    monkeypatch.setattr("servers.api.authentication.authenticate", fail)
    response = admin.get(path)
    assert said(response) == (503, str(IdentityUnavailable())) and int(response["Retry-After"]) > 0


def test_head_has_the_headers_of_get_and_no_body(admin: Caller, project: Project) -> None:
    path = f"/image/v2/images/{make_image(project).pk}"
    found = {method: admin.request(method, path) for method in ("GET", "HEAD")}
    assert found["HEAD"].content == b""
    assert found["HEAD"]["Content-Length"] == found["GET"]["Content-Length"] == str(len(found["GET"].content))


def test_who_has_logged_in_to_the_console_is_nobody_at_rest(admin: Caller) -> None:
    host = make_host("node1")
    client = Client()
    client.force_login(Caller(admin.project, "admin").user)
    admin.client = client
    path = f"/v2.1/os-services/{host.service_uuid}"
    assert admin.put(path, {"status": "disabled"}, "2.53").status_code == 200
    record = reading.page(reading.of(host), 1).records[0]
    assert (record.who, record.door) == (admin.user.name, "rest")
