"""A role that is taken away is lost at once, whatever tokens there are."""

from __future__ import annotations

import pytest

from servers.models import Membership, Project, User
from tests.api.identity.logging_in import (
    HTTP,
    PROJECT_BY_NAME,
    TOKENS,
    by_token,
    get,
    login,
    password,
    subject,
)
from tests.factories import make_project, make_server, make_token

pytestmark = pytest.mark.django_db


def test_token_is_worth_nothing_when_the_membership_is_removed(anna: User, shop: Project) -> None:
    token, other = make_token(anna, shop, ["manager"]), make_token(anna, make_project(), ["member"])
    assert get("/v2.1/servers", token).status_code == 200
    Membership.objects.filter(user=anna, project=shop).delete()
    assert [get(f"{door}", token).status_code for door in ("/v2.1/servers", "/image/v2/images")] == [401, 401]
    assert login(by_token(token), "unscoped").status_code == 401
    looked_up = HTTP.get(TOKENS, headers={"X-Auth-Token": other, "X-Subject-Token": token})
    assert looked_up.status_code == 404


def test_token_keeps_only_the_roles_that_are_left(anna: User, shop: Project) -> None:
    token = make_token(anna, shop, ["manager", "admin"])
    server = make_server(make_project())
    assert get(f"/v2.1/servers/{server.uuid}", token).status_code == 200
    Membership.objects.filter(user=anna, role="admin").delete()
    assert get(f"/v2.1/servers/{server.uuid}", token).status_code == 404
    looked_up = HTTP.get(TOKENS, headers={"X-Auth-Token": token, "X-Subject-Token": token}).json()["token"]
    assert {role["name"] for role in looked_up["roles"]} == {"manager", "member", "reader"}


def test_token_gains_nothing_by_a_role_that_is_given_later(anna: User, shop: Project) -> None:
    token = make_token(anna, shop, ["reader"])
    Membership.objects.create(user=anna, project=shop, role="admin")
    assert get("/v2.1/os-services", token).status_code == 403


def test_system_token_is_worth_nothing_when_the_system_role_is_removed(anna: User, shop: Project) -> None:
    token = make_token(anna, None, ["admin"], system_scope=True)
    assert get("/v2.1/os-services", token).status_code == 200
    Membership.objects.filter(user=anna, project=None).delete()
    assert get("/v2.1/os-services", token).status_code == 401


def test_unscoped_token_needs_no_role(anna: User, shop: Project) -> None:
    token = subject(login(password(), "unscoped"))
    Membership.objects.all().delete()
    assert login(by_token(token), "unscoped").status_code == 201
    assert login(by_token(token), PROJECT_BY_NAME).status_code == 401
