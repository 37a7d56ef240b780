"""What is looked at first (Nova contract A.0): each request here is wrong in two ways, and hears of one."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.conf import settings as deployment
from django.test import Client

from servers import clock
from servers.models import Project, Token
from tests.conftest import Caller
from tests.factories import make_server

TOO_LARGE = b'{"migrate": "' + b"x" * 115000 + b'"}'


def action(server_id: object = None) -> str:
    return f"/v2.1/servers/{server_id or uuid4()}/action"


def message(response: object) -> str:
    (fault,) = response.json().values()  # type: ignore[attr-defined]
    return str(fault["message"])


@pytest.mark.django_db
def test_size_is_looked_at_before_the_token() -> None:
    response = Client().post(action(), TOO_LARGE, content_type="application/json")
    assert response.status_code == 413
    assert response["Content-Type"] == "text/html; charset=UTF-8"
    assert response["x-compute-request-id"] == response["x-openstack-request-id"]


@pytest.mark.django_db
def test_token_is_looked_at_before_version_route_and_body() -> None:
    response = Client().post(
        "/v2.1/nosuch", b"{bad", "image/png", headers={"OpenStack-API-Version": "compute 9.9"}
    )
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == f'Keystone uri="{deployment.PUBLIC_URL}/identity"'
    assert response.json()["error"]["title"] == "Unauthorized"
    assert response["x-compute-request-id"].startswith("req-")
    assert "OpenStack-API-Version" not in response


@pytest.mark.parametrize("secret", ["", "wrong", "gantry-", "\u00e9"])
@pytest.mark.django_db
def test_token_that_is_none_is_refused(secret: str) -> None:
    assert Client().get("/v2.1/servers", headers={"X-Auth-Token": secret}).status_code == 401


def test_expired_token_is_refused(member: Caller) -> None:
    Token.objects.update(expires_at=clock.now())
    assert member.get("/v2.1/servers").status_code == 401


def test_route_is_looked_at_before_the_version(member: Caller) -> None:
    response = member.post("/v2.1/nosuch", {}, "2.999")
    assert response.status_code == 404
    assert b"<h1>404 Not Found</h1>" in response.content
    assert "OpenStack-API-Version" not in response


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2.1/servers/6f9619ff-8b86-4011-b42d-00c04fc964ff/action"),
        ("DELETE", "/v2.1/servers"),
        ("HEAD", "/v2.1/servers"),
        ("OPTIONS", "/v2.1/servers"),
        ("PATCH", "/v2.1/servers"),
        ("GET", "/v2.1/servers/"),
        ("GET", "/v2.1/XYZ/servers"),
        ("POST", "/v2.1/servers/6f9619ff-8b86-4011-b42d-00c04fc964ff/action/"),
        ("GET", "/v2.1/servers/a%00b"),
    ],
)
def test_what_is_not_routed_is_no_fault_of_novas(member: Caller, method: str, path: str) -> None:
    response = member.request(method, path)
    assert response.status_code == 404
    assert response["Content-Type"] == "text/html; charset=UTF-8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/json", "application/json"),
        ("*/*", "text/html; charset=UTF-8"),
        ("text/html;q=0.1, application/json", "application/json"),
        ("image/png", "text/plain; charset=UTF-8"),
        ("nonsense", "text/plain; charset=UTF-8"),
    ],
)
def test_unrouted_answer_is_what_the_client_prefers(member: Caller, accept: str, media_type: str) -> None:
    assert member.get("/v2.1/nosuch", Accept=accept)["Content-Type"] == media_type


def test_version_is_looked_at_before_the_content_type(member: Caller) -> None:
    assert member.post(action(), b"x", "2.999", Content_Type="image/png").status_code == 406


@pytest.mark.parametrize("media_type", ["APPLICATION/JSON", "application/x-www-form-urlencoded", "image/png"])
def test_content_type_is_looked_at_before_the_body(member: Caller, media_type: str) -> None:
    response = member.post(action(), b"{bad", Content_Type=media_type)
    assert response.status_code == 415
    assert response.json() == {"badMediaType": {"code": 415, "message": "Unsupported Content-Type"}}


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/json; charset=UTF-8", "application/vnd.openstack.compute+json"],
)
def test_content_types_that_are_taken(member: Caller, media_type: str) -> None:
    assert message(member.post(action(), b"{bad", Content_Type=media_type)) == "Malformed request body"


def test_action_name_is_looked_at_before_the_project_in_the_address(member: Caller) -> None:
    path = f"/v2.1/abc/servers/{uuid4()}/action"
    assert message(member.post(path, {"frobnicate": None})) == "There is no such action: frobnicate"


def test_project_in_the_address_is_looked_at_before_the_schema(member: Caller, project: Project) -> None:
    response = member.post(f"/v2.1/abc/servers/{uuid4()}/action", {"createBackup": None})
    wanted = (
        f"Malformed request URL: URL's project_id 'abc' doesn't match Context's project_id '{project.pk}'"
    )
    assert response.status_code == 400
    assert message(response) == wanted


def test_version_range_of_a_method_is_looked_at_before_the_schema(member: Caller) -> None:
    response = member.post(f"/v2.1/servers/{uuid4()}/migrations/1/action", {"force_complete": {}}, "2.21")
    assert response.status_code == 404
    assert message(response) == "The resource could not be found."


def test_schema_is_looked_at_before_the_server(member: Caller) -> None:
    assert member.post(action(), {"createBackup": {}}).status_code == 400


def test_server_is_looked_at_before_the_policy(reader: Caller) -> None:
    missing = uuid4()
    response = reader.post(action(missing), {"migrate": None})
    assert response.status_code == 404
    assert message(response) == f"Instance {missing} could not be found."


def test_policy_is_looked_at_before_the_state(reader: Caller, project: Project) -> None:
    server = make_server(project, vm_state="error", locked_by="owner")
    response = reader.post(action(server.uuid), {"migrate": None})
    assert response.status_code == 403
    assert (
        message(response) == "Policy doesn't allow os_compute_api:os-migrate-server:migrate to be performed."
    )


def test_lock_is_looked_at_before_the_state(manager: Caller, project: Project) -> None:
    server = make_server(project, vm_state="error", locked_by="owner")
    assert (
        message(manager.post(action(server.uuid), {"migrate": None})) == f"Instance {server.uuid} is locked"
    )
