"""Logging in as Keystone's clients do: who is let in, for what, and what is never said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from servers import clock
from servers.models import ApplicationCredential, Domain, Membership, Project, Token, User
from servers.models.identity import digest
from tests.api.identity.logging_in import PROJECT_BY_NAME, TOKENS, login, password, subject
from tests.factories import make_domain, make_project

pytestmark = pytest.mark.django_db


def test_password_gives_a_token_for_the_project(anna: User, shop: Project) -> None:
    response = login(password(), PROJECT_BY_NAME)
    body = response.json()["token"]
    assert (body["user"]["id"], body["project"]["id"]) == (anna.pk, shop.pk)
    assert {r["name"] for r in body["roles"]} == {"manager", "member", "reader"}
    assert {s["type"] for s in body["catalog"]} == {"identity", "compute", "image"}
    assert subject(response) not in response.content.decode()


def test_user_and_project_may_be_named_by_id(anna: User, shop: Project) -> None:
    identity = {"methods": ["password"], "password": {"user": {"id": anna.pk, "password": "secret"}}}
    assert login(identity, {"project": {"id": shop.pk}}).status_code == 201


def test_without_a_scope_the_default_project_is_meant(anna: User, shop: Project) -> None:
    assert login(password()).json()["token"]["project"]["id"] == shop.pk


def test_only_the_digest_of_a_token_is_kept(anna: User) -> None:
    secret = subject(login(password()))
    assert Token.objects.get().digest == digest(secret)
    assert secret not in str(Token.objects.values().get())


@pytest.mark.parametrize(
    ("identity", "scope"),
    [
        (password(secret="wrong"), None),
        (password("nobody"), None),
        (password(domain={"name": "Elsewhere"}), None),
        (password(), {"project": {"name": "other", "domain": {"name": "Default"}}}),
        (password(), {"system": {"all": True}}),
    ],
)
def test_whoever_is_not_let_in_learns_nothing_of_the_reason(anna: User, identity: Any, scope: Any) -> None:
    make_project(name="other")
    response = login(identity, scope)
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "The request you have made requires authentication."


def test_disabled_user_project_or_domain_is_not_let_in(anna: User, shop: Project) -> None:
    for row, field in ((anna, "is_active"), (shop, "enabled"), (Domain.objects.get(), "enabled")):
        setattr(row, field, False)
        row.save()
        assert login(password(), PROJECT_BY_NAME).status_code == 401
        setattr(row, field, True)
        row.save()
    assert login(password(), PROJECT_BY_NAME).status_code == 201


def test_system_role_gives_a_system_token(anna: User) -> None:
    Membership.objects.create(user=anna, project=None, role="admin")
    body = login(password(), {"system": {"all": True}}).json()["token"]
    assert body["system"] == {"all": True} and "project" not in body


def test_token_is_exchanged_and_does_not_live_longer_by_it(anna: User) -> None:
    first = subject(login(password(), PROJECT_BY_NAME))
    Token.objects.update(expires_at=clock.now() + timedelta(seconds=60))
    second = subject(login({"methods": ["token"], "token": {"id": first}}, PROJECT_BY_NAME))
    expiries = Token.objects.values_list("expires_at", flat=True)
    assert second != first and len(set(expiries)) == 1


def test_application_credential_lets_a_program_in_with_at_most_its_roles(anna: User, shop: Project) -> None:
    credential = ApplicationCredential(name="cron", user=anna, project=shop, roles=["reader"])
    secret = credential.set_secret()
    credential.save()
    given = {"id": credential.pk, "secret": secret}
    identity = {"methods": ["application_credential"], "application_credential": given}
    body = login(identity).json()["token"]
    assert [r["name"] for r in body["roles"]] == ["reader"]
    assert body["application_credential"]["id"] == credential.pk
    other = {**identity, "application_credential": {**given, "secret": "wrong"}}
    assert login(other).status_code == 401
    credential.expires_at = clock.now() - timedelta(seconds=1)
    credential.save()
    assert login(identity).status_code == 401


def test_credential_is_made_once_shown_once_and_makes_no_other(anna: User) -> None:
    token = subject(login(password(), PROJECT_BY_NAME))
    path = f"/identity/v3/users/{anna.pk}/application_credentials"
    body = {"application_credential": {"name": "cron", "roles": [{"name": "member"}]}}
    kwargs: Any = {"content_type": "application/json", "headers": {"X-Auth-Token": token}}
    made = Client().post(path, body, **kwargs).json()["application_credential"]
    shown = Client().get(path, headers={"X-Auth-Token": token}).json()["application_credentials"]
    assert made["secret"] and "secret" not in shown[0]
    assert Client().post(path, body, **kwargs).status_code == 409
    too_much = {"application_credential": {"name": "x", "roles": [{"name": "admin"}]}}
    assert Client().post(path, too_much, **kwargs).status_code == 400
    given = {"id": made["id"], "secret": made["secret"]}
    second = subject(login({"methods": ["application_credential"], "application_credential": given}))
    kwargs["headers"] = {"X-Auth-Token": second}
    assert Client().post(path, {"application_credential": {"name": "y"}}, **kwargs).status_code == 403


def test_token_is_looked_up_and_revoked(anna: User) -> None:
    secret = subject(login(password(), PROJECT_BY_NAME))
    headers = {"X-Auth-Token": secret, "X-Subject-Token": secret}
    assert Client().get(TOKENS, headers=headers).json()["token"]["user"]["name"] == "anna"
    assert Client().delete(TOKENS, headers=headers).status_code == 204
    assert Client().get(TOKENS, headers=headers).status_code == 401
    assert Client().get("/v2.1/servers", headers=headers).status_code == 401


def test_nobody_looks_up_the_token_of_another(anna: User, shop: Project) -> None:
    bert = User.objects.create_user("bert", "secret", domain=make_domain(), default_project=shop)
    Membership.objects.create(user=bert, project=shop, role="member")
    mine, other = subject(login(password())), subject(login(password("bert")))
    headers = {"X-Auth-Token": other, "X-Subject-Token": mine}
    assert Client().get(TOKENS, headers=headers).status_code == 404


def test_discovery_needs_no_token(db: None) -> None:
    assert Client().get("/identity").status_code == 300
    assert Client().get("/identity/v3").json()["version"]["id"].startswith("v3")
    assert Client().get("/identity/v3/nonsense").status_code == 404


@pytest.mark.parametrize("many", ["projects", "users", "domains"])
def test_member_sees_only_what_is_its_own(anna: User, many: str) -> None:
    make_project(name="other")
    User.objects.create_user("bert", "x", domain=make_domain())
    Domain.objects.create(name="Elsewhere")
    token = subject(login(password(), PROJECT_BY_NAME))
    found = Client().get(f"/identity/v3/{many}", headers={"X-Auth-Token": token}).json()[many]
    assert len(found) == 1
    Membership.objects.create(user=anna, project=None, role="admin")
    admin = subject(login(password(), {"system": {"all": True}}))
    found = Client().get(f"/identity/v3/{many}", headers={"X-Auth-Token": admin}).json()[many]
    assert len(found) == 2
