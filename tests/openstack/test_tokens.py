"""Tokens of a real Keystone at the wire door: who is let in, as whom, and what happens when Keystone does not answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from servers.api.authentication import authenticate
from servers.models import Project, User
from servers.policy import Context
from tests.factories import make_domain, make_project
from tests.openstack.asking import ask, server_of
from tests.openstack.keystone import Keystone, password
from tests.openstack.service import free_port

pytestmark = pytest.mark.django_db
LIST = "/v2.1/servers"
ALL = "/v2.1/servers?all_tenants=1"


def context_of(rf: Any, token: str, **headers: str) -> Context | None:
    """Return who asks with this token."""
    return authenticate(rf.get(LIST, headers={"X-Auth-Token": token, **headers}), "req-test")


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return sorted(server["name"] for server in answer.json()["servers"])


# ------------------------------------------------------------------------------------------- who it is


def test_member_is_who_keystone_says(gantry: Any, keystone: Keystone, rf: Any) -> None:
    context = context_of(rf, keystone.token("alice"))
    assert context is not None
    assert (context.user_name, context.project_name) == ("alice", "demo")
    assert context.project_id == keystone.project_id("demo")
    assert context.user_id == keystone.one("users", "alice")["id"]
    assert (context.user_domain_id, context.project_domain_id) == ("default", "default")
    assert (context.roles, context.system_scope, context.door) == ({"member", "reader"}, None, "rest")


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("rita", {"reader"}),
        ("mandy", {"manager", "member", "reader"}),
        ("admin", {"admin", "manager", "member", "reader"}),
    ],
)
def test_roles_are_those_of_the_token_with_all_that_they_imply(
    gantry: Any, keystone: Keystone, rf: Any, name: str, roles: set[str]
) -> None:
    context = context_of(rf, keystone.token(name))
    assert context is not None and context.roles == roles


def test_everybody_sees_the_servers_of_their_project_and_an_admin_all(
    gantry: Any, keystone: Keystone
) -> None:
    server_of(keystone, "demo", name="d")
    server_of(keystone, "other", name="o")
    assert names(ask(keystone.token("alice"), LIST)) == ["d"]
    assert names(ask(keystone.token("oscar"), LIST)) == ["o"]
    assert names(ask(keystone.token("admin"), ALL)) == ["d", "o"]
    assert ask(keystone.token("alice"), ALL).status_code == 403


def test_foreign_server_is_not_there(gantry: Any, keystone: Keystone) -> None:
    server = server_of(keystone, "demo")
    path = f"{LIST}/{server.uuid}"
    assert [ask(keystone.token(name), path).status_code for name in ("alice", "oscar")] == [200, 404]


def test_reader_may_look_and_member_may_act(gantry: Any, keystone: Keystone) -> None:
    path = f"{LIST}/{server_of(keystone, 'demo').uuid}/action"
    assert ask(keystone.token("rita"), path, {"lock": None}).status_code == 403
    assert ask(keystone.token("alice"), path, {"lock": None}).status_code == 202


def test_project_in_the_address_has_to_be_the_tokens(gantry: Any, keystone: Keystone) -> None:
    token, other = keystone.token("alice"), keystone.project_id("other")
    assert ask(token, f"/v2.1/{keystone.project_id('demo')}/servers").status_code == 200
    assert ask(token, f"/v2.1/{other}/servers").status_code == 400


def test_system_scope_is_told(gantry: Any, keystone: Keystone, rf: Any) -> None:
    context = context_of(rf, keystone.token("admin", system_scope="all"))
    assert context is not None
    assert (context.system_scope, context.project_id) == ("all", "")
    assert "admin" in context.roles


def test_role_in_a_domain_is_none_in_a_project(gantry: Any, keystone: Keystone, rf: Any) -> None:
    admin, role = keystone.one("users", "admin")["id"], keystone.one("roles", "admin")["id"]
    keystone.admin.put(f"{keystone.url}/domains/default/users/{admin}/roles/{role}")
    token = keystone.token("admin", domain_id="default")
    context = context_of(rf, token)
    assert context is not None and (context.roles, context.project_id) == (frozenset(), "")
    assert ask(token, "/v2.1/os-services").status_code == 403


def test_unscoped_token_has_no_rights(gantry: Any, keystone: Keystone) -> None:
    assert ask(keystone.token("alice", unscoped=True), "/v2.1/os-services").status_code == 403


def test_application_credential_has_only_its_roles(gantry: Any, keystone: Keystone) -> None:
    path = f"{LIST}/{server_of(keystone, 'demo').uuid}"
    token = credential_token(keystone, "alice", roles=[{"name": "reader"}])
    assert ask(token, path).status_code == 200
    assert ask(token, f"{path}/action", {"lock": None}).status_code == 403


def test_access_rules_of_a_credential_are_kept(gantry: Any, keystone: Keystone) -> None:
    rules = [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]
    token = credential_token(keystone, "alice", access_rules=rules)
    assert ask(token, LIST).status_code == 200
    assert ask(token, "/v2.1/flavors").status_code == 401


def credential_token(keystone: Keystone, name: str, **facts: Any) -> str:
    """Return a token of a new application credential of somebody."""
    who, owner = keystone.session(name, "demo"), keystone.one("users", name)["id"]
    body = {"application_credential": {"name": uuid4().hex, **facts}}
    made = who.post(f"{keystone.url}/users/{owner}/application_credentials", json=body).json()
    credential = made["application_credential"]
    auth = v3.ApplicationCredential(
        keystone.url,
        application_credential_id=credential["id"],
        application_credential_secret=credential["secret"],
    )
    return str(Session(auth).get_token())


# ------------------------------------------------------------------------------------- who it is not


@pytest.mark.parametrize("token", [None, "", "nonsense", "gAAAAABnonsense", "a" * 5000])
def test_nobody_is_let_in_without_a_valid_token(gantry: Any, keystone: Keystone, token: str | None) -> None:
    answer = ask(token, LIST)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == {
        "error": {
            "code": 401,
            "title": "Unauthorized",
            "message": "The request you have made requires authentication.",
        }
    }


@pytest.mark.parametrize("cache_s", [0, 60])
def test_expired_token_is_refused(gantry: Any, keystone: Keystone, cache_s: int) -> None:
    gantry.KEYSTONE_TOKEN_CACHE_S = cache_s
    end = datetime.now(UTC) + timedelta(seconds=8)
    token = credential_token(keystone, "alice", expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    assert ask(token, LIST).status_code == 200
    time.sleep((end - datetime.now(UTC)).total_seconds() + 1)
    assert ask(token, LIST).status_code == 401


def test_revoked_token_is_refused_at_once(gantry: Any, keystone: Keystone) -> None:
    token = keystone.token("alice")
    assert ask(token, LIST).status_code == 200
    keystone.revoke(token)
    assert ask(token, LIST).status_code == 401


def test_revoked_token_is_believed_for_as_long_as_the_cache_keeps_it(gantry: Any, keystone: Keystone) -> None:
    gantry.KEYSTONE_TOKEN_CACHE_S = 60
    token = keystone.token("alice")
    assert ask(token, LIST).status_code == 200
    keystone.revoke(token)
    assert ask(token, LIST).status_code == 200


def test_role_that_is_taken_away_is_lost_at_once(gantry: Any, keystone: Keystone) -> None:
    keystone.give("tom", "demo", "member")
    token = keystone.token("tom", "demo")
    assert ask(token, LIST).status_code == 200
    user, role = keystone.one("users", "tom")["id"], keystone.one("roles", "member")["id"]
    where = f"{keystone.url}/projects/{keystone.project_id('demo')}/users/{user}/roles/{role}"
    keystone.admin.delete(where)
    assert ask(token, LIST).status_code == 401


FORGED = {
    "X-Roles": "admin",
    "X-Role": "admin",
    "X-Is-Admin-Project": "True",
    "X-Identity-Status": "Confirmed",
    "X-Service-Roles": "service,admin",
    "X-Service-Identity-Status": "Confirmed",
    "OpenStack-System-Scope": "all",
    "X-User-Id": "root",
    "X-User-Name": "root",
    "X-Domain-Id": "default",
}


def test_what_a_client_says_of_itself_is_not_believed(gantry: Any, keystone: Keystone, rf: Any) -> None:
    token, other = keystone.token("rita"), keystone.project_id("other")
    forged = {**FORGED, "X-Project-Id": other, "X-Project-Name": "other", "X-Tenant-Id": other}
    assert context_of(rf, token, **forged) == context_of(rf, token)
    assert ask(token, "/v2.1/os-services", **forged).status_code == 403
    assert ask(None, LIST, **forged).status_code == 401


def test_service_token_goes_with_a_users_and_gives_no_rights(
    gantry: Any, keystone: Keystone, rf: Any
) -> None:
    token, service = keystone.token("rita"), keystone.token("nova")
    assert context_of(rf, token, **{"X-Service-Token": service}) == context_of(rf, token)
    assert ask(None, LIST, X_Service_Token=service).status_code == 401


def test_service_token_of_somebody_who_is_no_service_is_refused(gantry: Any, keystone: Keystone) -> None:
    token = keystone.token("rita")
    assert ask(token, LIST, X_Service_Token="nonsense").status_code == 401


def test_own_tokens_are_not_accepted_beside_a_keystone(gantry: Any, keystone: Keystone, admin: Any) -> None:
    assert ask(admin.secret, LIST).status_code == 401


# ------------------------------------------------------------------------------- Keystone is not there


def require_unavailable(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/json; charset=UTF-8"
    message = "The identity service does not answer; try again later."
    assert answer.json() == {"serviceUnavailable": {"code": 503, "message": message}}
    assert answer["x-openstack-request-id"].startswith("req-")


def test_keystone_that_is_down_is_no_reason_to_say_that_a_token_is_wrong(
    gantry: Any, keystone: Keystone
) -> None:
    token = keystone.token("alice")
    with keystone.service.down():
        require_unavailable(ask(token, LIST))
        assert ask(None, LIST).status_code == 401
        assert ask(None, "/v2.1/").status_code == 200
    assert ask(token, LIST).status_code == 200


@pytest.mark.parametrize("asked_before", [True, False])
def test_keystone_that_hangs_does_not_take_gantry_with_it(
    gantry: Any, keystone: Keystone, asked_before: bool
) -> None:
    token = keystone.token("alice")
    if asked_before:
        assert ask(token, LIST).status_code == 200
    with keystone.service.hanging():
        start = time.monotonic()
        require_unavailable(ask(token, LIST))
        assert time.monotonic() - start < 10
    assert ask(token, LIST).status_code == 200


def test_nobody_at_the_address_of_keystone(gantry: Any, keystone: Keystone) -> None:
    gantry.KEYSTONE_URL = f"http://127.0.0.1:{free_port()}/v3"
    require_unavailable(ask(keystone.token("alice"), LIST))


def test_wrong_password_of_gantry_itself_is_not_the_callers_fault(gantry: Any, keystone: Keystone) -> None:
    gantry.KEYSTONE_PASSWORD = "wrong"
    require_unavailable(ask(keystone.token("alice"), LIST))


def test_gantry_whose_own_token_is_revoked_gets_another(gantry: Any, keystone: Keystone) -> None:
    token = keystone.token("alice")
    assert ask(token, LIST).status_code == 200
    keystone.revoke_all("gantry")
    assert ask(token, LIST).status_code == 200


def test_neither_token_nor_password_is_logged(
    gantry: Any, keystone: Keystone, capfd: Any, caplog: Any
) -> None:
    token = keystone.token("alice")
    caplog.set_level("DEBUG")
    ask(token, LIST)
    with keystone.service.hanging():
        ask(token, LIST)
    said = "".join(capfd.readouterr()) + caplog.text
    assert token not in said and password("gantry") not in said


# --------------------------------------------------------------------------------------- known by name


def test_project_is_known_by_its_name_after_its_first_request(gantry: Any, keystone: Keystone) -> None:
    for _ in range(2):
        assert ask(keystone.token("jürgen"), LIST).status_code == 200
    project = Project.objects.get(pk=keystone.project_id("Bücher & mehr"))
    assert (project.name, project.domain.name) == ("Bücher & mehr", "Default")
    assert not User.objects.filter(name="jürgen").exists()


def test_project_whose_name_is_taken_here_is_another_one(gantry: Any, keystone: Keystone) -> None:
    taken = make_project(name="demo", domain=make_domain())
    assert ask(keystone.token("alice"), LIST).status_code == 200
    pk = keystone.project_id("demo")
    assert Project.objects.get(pk=pk).name == f"{pk[:8]} demo"
    assert Project.objects.get(name="demo") == taken
