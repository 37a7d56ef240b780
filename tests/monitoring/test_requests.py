"""What is refused is one line of ours that names the request, and nothing that was said in it."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings as configured
from django.db import DataError
from django.test import Client

from project import logs
from servers.models import Project
from tests.blocked import blocked
from tests.conftest import Caller
from tests.factories import make_server, make_user
from tests.logins.doors import DOORS

pytestmark = pytest.mark.django_db
Line = dict[str, Any]
UNFORESEEN = "servers.api.compute.zones.ZoneList.get"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Line]]]:
    """Return what reads the lines that this process has written since, all in JSON."""
    stream = io.StringIO()
    monkeypatch.setattr(logs.STDERR, "file", stream)
    known = structlog.get_config()
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    config = logs.configure("INFO", logs.JSON)
    logging.config.dictConfig(config)

    def read() -> list[Line]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield read
    logs.configure(configured.LOG_LEVEL, configured.LOG_FORMAT)
    logging.config.dictConfig(configured.LOGGING)
    structlog.configure(**known)
    root.handlers[:] = handlers


def console(name: str) -> Client:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(make_user("admin", None, name=name))
    return client


def test_refusal_names_request_service_method_path_status_user_and_code(
    admin: Caller, lines: Callable[[], list[Line]]
) -> None:
    answer = admin.get("/v2.1/servers/none?name=secret")
    (line,) = lines()
    found = {
        name: line.get(name) for name in ("event", "service", "method", "path", "status", "user", "code")
    }
    assert found == {
        "event": "request.refused",
        "service": "compute",
        "method": "GET",
        "path": "/v2.1/servers/none",
        "status": 404,
        "user": admin.user.name,
        "code": "instance_missing",
    }
    assert line["request_id"] == answer["x-openstack-request-id"]


@pytest.mark.parametrize(
    "path", ["/v2.1/servers", "/identity/v3/users", "/image/v2/images", "/gantry/v1/workers", "/metrics"]
)
def test_every_service_refuses_in_one_line_that_tells_no_secret(
    path: str, lines: Callable[[], list[Line]], admin: Caller
) -> None:
    secrets = {"X-Auth-Token": "secret-token", "Cookie": "sessionid=secret", "Authorization": "Bearer secret"}
    answer = Client().get(f"{path}?password=secret", headers=secrets)
    (line,) = lines()
    assert answer.status_code == line["status"] == 401 and line["event"] == "request.refused"
    assert "secret" not in json.dumps(line)


def test_address_of_a_stranger_writes_nothing_to_a_terminal(lines: Callable[[], list[Line]]) -> None:
    Client().get("/v2.1/%1b%5b31m%0alevel=error")
    (line,) = lines()
    assert "\x1b" not in line["path"] and "level=error" in line["path"]


def test_body_stands_in_no_line(admin: Caller, project: Project, lines: Callable[[], list[Line]]) -> None:
    server = make_server(project)
    for body in (b'{"secret', {"changePassword": {"adminPass": ["secret"]}}, {"secret": None}):
        assert admin.post(f"/v2.1/servers/{server.pk}/action", body).status_code == 400
    found = lines()
    assert [line["event"] for line in found] == ["request.refused"] * 3
    assert "secret" not in json.dumps(found)


def test_console_refuses_in_one_line_too_with_the_reason(lines: Callable[[], list[Line]]) -> None:
    client = console("anna")
    assert client.post("/admin/logout/").status_code == 403
    assert client.get("/admin/servers/server/none/change/").status_code in {302, 404}
    line = next(line for line in lines() if line["event"] == "request.refused")
    assert (line["service"], line["status"]) == ("console", 403)
    assert "CSRF" in line["reason"]


@pytest.mark.parametrize("door", ["password by REST", "application credential by REST", "console"])
def test_lines_of_a_login_say_which_name_and_from_where_and_no_secret(
    door: str, lines: Callable[[], list[Line]]
) -> None:
    for _ in range(11):
        DOORS[door]("pass-word", name="an\x1bna", address="192.0.2.7")
    found = lines()
    events = [line["event"] for line in found]
    assert events.count("login.failed") == 10 and events.count("request.refused") >= 1
    assert found[-1]["code"] == "too_many_failed_logins"
    assert {line["address"] for line in found} == {"192.0.2.7"}
    assert all("an\ufffdna" in line["login"] for line in found)
    assert "pass-word" not in json.dumps(found)


def test_name_of_a_host_that_is_not_ours_is_refused_in_one_line(lines: Callable[[], list[Line]]) -> None:
    assert Client().get("/admin/login/", headers={"Host": "evil.example"}).status_code == 400
    (line,) = lines()
    assert line["event"] == "request.refused" and "evil.example" in line["reason"]


def test_error_that_nobody_has_foreseen_is_one_line_with_its_traceback(
    admin: Caller, monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[Line]]
) -> None:
    def fail(*args: Any) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(UNFORESEEN, fail)
    answer = admin.get("/v2.1/os-availability-zone")
    (line,) = lines()
    assert (answer.status_code, line["event"], line["level"]) == (500, "request.failed", "error")
    assert "ValueError: odd" in line["exception"]
    assert line["request_id"] == answer["x-openstack-request-id"]


def test_outage_is_one_line_with_what_the_database_says(
    admin: Caller, lines: Callable[[], list[Line]]
) -> None:
    with blocked():
        assert admin.get("/v2.1/servers").status_code == 503
        (line,) = lines()
        assert (line["event"], line["status"]) == ("request.refused", 503)
        assert "Connection refused" in line["reason"]
        assert console_without_database().status_code == 503
    (line,) = lines()
    assert (line["service"], line["status"]) == ("console", 503) and "Connection refused" in line["reason"]


def console_without_database() -> Any:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    return client.get("/admin/")


def test_what_is_answered_well_is_no_line(admin: Caller, lines: Callable[[], list[Line]]) -> None:
    assert admin.get("/v2.1/servers").status_code == 200
    assert Client().get("/healthz").status_code == 200
    assert lines() == []


def test_readiness_that_changes_is_one_line_with_its_reason_and_one_that_stays_none(
    lines: Callable[[], list[Line]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.monitoring.health.HELD_S", 0)
    for _ in range(3):
        assert Client().get("/readyz").status_code == 503
    (line,) = lines()
    assert (line["event"], line["ready"]) == ("health.changed", False) and "no worker" in line["workers"]


def test_id_that_a_client_has_for_several_services_stands_beside_ours(
    admin: Caller, lines: Callable[[], list[Line]]
) -> None:
    own = "req-11111111-2222-3333-4444-555555555555"
    admin.get("/v2.1/servers/none", X_Openstack_Request_Id=own)
    admin.get("/v2.1/servers/none", X_Openstack_Request_Id=f"{own}\n level=error")
    first, second = lines()
    assert first["global_request_id"] == own != first["request_id"]
    assert "global_request_id" not in second


def test_next_request_knows_nothing_of_the_one_before(admin: Caller, lines: Callable[[], list[Line]]) -> None:
    admin.get("/v2.1/servers/none", X_Openstack_Request_Id="req-11111111-2222-3333-4444-555555555555")
    Client().get("/v2.1/servers")
    first, second = lines()
    assert first["request_id"] != second["request_id"]
    assert "user" not in second and "global_request_id" not in second
    assert structlog.contextvars.get_contextvars() == {}


def test_value_that_no_column_keeps_is_refused_and_the_line_has_what_the_database_said(
    lines: Callable[[], list[Line]], admin: Caller
) -> None:
    with blocked(DataError("value too long")):
        assert admin.get("/v2.1/servers").status_code == 400
    (line,) = lines()
    assert (line["code"], line["reason"]) == ("value_not_kept", "value too long")
