"""What every test may ask for."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.db import connection
from django.db.backends.base.operations import BaseDatabaseOperations
from django.http import HttpRequest, HttpResponse
from django.test import Client
from hypothesis import settings as hypothesis

from project.security import Headers
from servers.actions import definitions
from servers.audit import chain as chaining
from servers.audit.saying import may_cut
from servers.deployment import comparison
from servers.deployment.standing import STANDING
from servers.fleet.host_questions import Asker
from servers.models import Project
from servers.monitoring.health import Held
from servers.monitoring.line_limit import LineLimit
from tests.columns import be_strict
from tests.declared_refusals import undeclared
from tests.factories import make_project, make_token, make_user
from tests.inline import STRICT, inline
from tests.shares import ALL, keep_share

be_strict()
BaseDatabaseOperations.execute_sql_flush = may_cut()(BaseDatabaseOperations.execute_sql_flush)  # type: ignore[method-assign]
"""A database that is emptied after a test loses its audit trail too."""
hypothesis.register_profile("long", max_examples=2000, deadline=None)
if os.environ.get("HYPOTHESIS_PROFILE"):
    hypothesis.load_profile(os.environ["HYPOTHESIS_PROFILE"])

SHARE = os.environ.get("SHARE") or ALL
"""The share of what is collected that is played: what runs on SQLite as well is played in shares on PostgreSQL."""

NO_BODY = object()
HTTP = Client(enforce_csrf_checks=True, raise_request_exception=False)
"""One for all: a new one would load every middleware again."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    keep_share(config, items, list(items), SHARE)


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """Keep what a test writes away from everybody else's data."""
    settings.DATA_DIR = tmp_path
    settings.AUDIT_SYSLOG = ""
    settings.IMAGE_DIR = tmp_path / "images"
    settings.SIMULATED_FLEET = tmp_path / "fleet.sqlite3"


@pytest.fixture(autouse=True)
def own_entries(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[None]:
    """Empty Procrastinate's tables after a test that commits: Django flushes only tables that it manages."""
    yield
    marker = request.node.get_closest_marker("django_db")
    commits = "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction"))
    if commits and configured.QUEUE == "procrastinate":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_events CASCADE")


@pytest.fixture(autouse=True)
def nobody_hangs_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget which hosts hung in an earlier test: hosts of the same names would not be asked at all."""
    monkeypatch.setattr("servers.fleet.polling.ASKER", Asker())


@pytest.fixture(autouse=True)
def nothing_is_chained_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget how far an earlier test has chained its audit trail."""
    monkeypatch.setattr(chaining, "_seen", deque())
    monkeypatch.setattr(chaining, "_done", [0])


@pytest.fixture(autouse=True)
def agrees_with_the_deployment() -> None:
    """Forget what an earlier test has found different."""
    STANDING.settle((), None)
    comparison._memories.clear()


@pytest.fixture(autouse=True)
def monitoring_in_the_tests_own_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let health and metrics ask the database here, where the test's rows are, and each time anew."""
    for room in ("health", "records"):
        monkeypatch.setattr(f"servers.monitoring.{room}.within", lambda limit_s, topic, ask: ask())
    monkeypatch.setattr("servers.monitoring.health.HELD", Held())


@pytest.fixture(autouse=True)
def strangers_have_written_nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget how many lines of the log earlier tests have made."""
    monkeypatch.setattr("servers.monitoring.requests.OF_STRANGERS", LineLimit(30))


@pytest.fixture(autouse=True)
def nothing_inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which an answer that is a page lacks its policy, or has what the policy forbids."""
    found: list[str] = []
    handle = Headers.__call__

    def look(self: Headers, request: HttpRequest) -> Any:
        answer = handle(self, request)
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            missing = STRICT - set(answer.headers.get("Content-Security-Policy", "").split("; "))
            is_text = hasattr(answer, "content") and "Content-Encoding" not in answer.headers
            faults = [*sorted(missing), *inline(answer.content.decode() if is_text else "")]
            found.extend(f"{request.path}: {fault}" for fault in faults)
        return answer

    monkeypatch.setattr(Headers, "__call__", look)
    yield
    assert found == []


@pytest.fixture(autouse=True)
def declared_refusals() -> Iterator[None]:
    """Fail a test in which an action refuses a request with what its definition does not declare."""
    with undeclared(*definitions.values()) as found:
        yield
    assert found == []


class Caller:
    """Somebody who speaks HTTP to the doors, with a token of their own."""

    def __init__(self, project: Project, *roles: str) -> None:
        self.project = project
        self.user = make_user()
        self.secret = make_token(self.user, project, list(roles))
        self.client = HTTP

    def request(
        self, method: str, path: str, body: Any = NO_BODY, version: str | None = None, **headers: str
    ) -> HttpResponse:
        """Return the answer to a request. `body` is JSON, or bytes as they are; `version` a microversion."""
        sent = {"X-Auth-Token": self.secret, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if version is not None:
            sent["OpenStack-API-Version"] = f"compute {version}"
        data = b"" if body is NO_BODY else body if isinstance(body, bytes) else json.dumps(body).encode()
        media_type = sent.pop("Content-Type", "application/json")
        return self.client.generic(method, path, data, content_type=media_type, headers=sent)  # type: ignore[return-value]

    def get(self, path: str, version: str | None = None, **headers: str) -> HttpResponse:
        return self.request("GET", path, version=version, **headers)

    def post(self, path: str, body: Any, version: str | None = None, **headers: str) -> HttpResponse:
        return self.request("POST", path, body, version, **headers)

    def put(self, path: str, body: Any, version: str | None = None, **headers: str) -> HttpResponse:
        return self.request("PUT", path, body, version, **headers)

    def delete(self, path: str, version: str | None = None, **headers: str) -> HttpResponse:
        return self.request("DELETE", path, version=version, **headers)


@pytest.fixture
def project(db: None) -> Project:
    """Return the project that owns what the test is about."""
    return make_project(name="owner")


@pytest.fixture
def admin(project: Project) -> Caller:
    return Caller(project, "admin")


@pytest.fixture
def manager(project: Project) -> Caller:
    return Caller(project, "manager")


@pytest.fixture
def member(project: Project) -> Caller:
    return Caller(project, "member")


@pytest.fixture
def reader(project: Project) -> Caller:
    return Caller(project, "reader")


@pytest.fixture
def stranger(db: None) -> Caller:
    """Return a manager of another project."""
    return Caller(make_project(name="other"), "manager")
