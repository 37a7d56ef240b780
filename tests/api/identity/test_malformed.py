"""What nobody sends in good faith is refused, in Keystone's form, and is never an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.models import LoginFailures, User
from tests.api.identity.logging_in import HTTP, PROJECT_BY_NAME, TOKENS, login, password, subject

pytestmark = pytest.mark.django_db
LONE_SURROGATE = b'"\\ud800"'
MEMBERS = ["auth", "identity", "methods", "password", "token", "application_credential", "user", "name", "id"]
MEMBERS += ["domain", "project", "scope", "system", "all", "secret", "unscoped", "roles", "expires_at"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(MEMBERS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 60000,
        b"{}",
        b'{"auth": null}',
        b'{"auth": {"identity": []}}',
        b'{"auth": {"identity": {"methods": "password"}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 1}}}}}',
        b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}}',
        b'{"auth": {"identity": {"methods": ["oauth1"]}}}',
    ],
)
def test_malformed_login_is_a_bad_request(db: None, body: bytes) -> None:
    response = HTTP.post(TOKENS, body, content_type="application/json")
    assert response.status_code == 400
    assert json.loads(response.content)["error"]["title"] == "Bad Request"


def user_with(name: bytes, secret: bytes) -> bytes:
    user = b'{"name": %s, "domain": {"id": "default"}, "password": %s}' % (name, secret)
    return b'{"auth": {"identity": {"methods": ["password"], "password": {"user": %s}}}}' % user


@pytest.mark.parametrize(
    "body",
    [
        user_with(LONE_SURROGATE, b'"x"'),
        user_with(b'"anna"', LONE_SURROGATE),
        user_with(b'"an\\u0000na"', b'"x"'),
        b'{"auth": {"identity": {"methods": ["token"], "token": {"id": %s}}}}' % LONE_SURROGATE,
    ],
)
def test_character_that_no_database_keeps_is_a_bad_request(anna: User, body: bytes) -> None:
    assert HTTP.post(TOKENS, body, content_type="application/json").status_code == 400


@pytest.mark.parametrize("kilobytes", [200, 17 * 1024])
def test_body_that_is_too_large_is_refused(db: None, kilobytes: int) -> None:
    response = HTTP.post(TOKENS, b" " * kilobytes * 1024, content_type="application/json")
    assert response.status_code == 413


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
)
def test_password_in_a_form_is_refused_and_kept_nowhere(anna: User, media_type: str) -> None:
    body = json.dumps({"auth": {"identity": password(secret="almost right")}})
    assert HTTP.post(TOKENS, body, content_type=media_type).status_code == 400
    assert not LoginFailures.objects.exists()


@pytest.mark.parametrize("method", ["DISPATCH", "SETUP", "SUBJECT", "HANDLE", "TRACE", "PATCH"])
def test_method_that_is_none_is_not_allowed(db: None, method: str) -> None:
    response = HTTP.generic(method, TOKENS)
    assert response.status_code == 405
    assert "POST" in response["Allow"] and "DISPATCH" not in response["Allow"]


@pytest.mark.parametrize(
    "address", ["users/%00", "users?name=%00", "role_assignments?user.id=%00", "users/a%0Ab"]
)
def test_odd_address_is_refused_in_keystones_form(anna: User, address: str) -> None:
    token = subject(login(password()))
    response = HTTP.get(f"/identity/v3/{address}", headers={"X-Auth-Token": token})
    assert response.json()["error"]["code"] == response.status_code
    assert 400 <= response.status_code < 500


@FUZZ
@given(auth=VALUES)
def test_no_login_makes_an_error_of_ours(db: None, auth: Any) -> None:
    response = HTTP.post(TOKENS, json.dumps({"auth": auth}), content_type="application/json")
    assert 400 <= response.status_code < 500


@FUZZ
@given(value=VALUES, method=st.sampled_from(["password", "token", "application_credential"]))
def test_no_proof_makes_an_error_of_ours(db: None, value: Any, method: str) -> None:
    response = login({"methods": [method], method: value})
    assert 400 <= response.status_code < 500


@FUZZ
@given(scope=VALUES)
def test_no_scope_makes_an_error_of_ours(anna: User, scope: Any) -> None:
    assert login(password(), scope).status_code in {201, 400, 401}


@FUZZ
@given(body=VALUES)
def test_no_credential_makes_an_error_of_ours(anna: User, body: Any) -> None:
    token = subject(login(password(), PROJECT_BY_NAME))
    response = HTTP.post(
        f"/identity/v3/users/{anna.pk}/application_credentials",
        json.dumps({"application_credential": body}),
        content_type="application/json",
        headers={"X-Auth-Token": token},
    )
    assert response.status_code == 201 or 400 <= response.status_code < 500
