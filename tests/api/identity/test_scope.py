"""What a token is good for: what is asked for, what is meant by asking for nothing, and when it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from servers import clock
from servers.models import ApplicationCredential, Domain, Membership, Project, Token, User
from tests.api.identity.logging_in import (
    PROJECT_BY_NAME,
    by_credential,
    by_token,
    get,
    login,
    password,
    subject,
)
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def credential_of(user: User, project: Project, **fields: Any) -> dict[str, Any]:
    """Return the identity of a program with a new application credential."""
    made = ApplicationCredential(name="cron", user=user, project=project, roles=["reader"], **fields)
    secret = made.set_secret()
    made.save()
    return by_credential(id=made.pk, secret=secret)


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}])
def test_unscoped_token_has_no_project_no_roles_and_no_catalog(anna: User, scope: Any) -> None:
    response = login(password(), scope)
    assert not {"project", "roles", "catalog", "system"} & set(response.json()["token"])
    assert get("/identity/v3/auth/projects", subject(response)).json()["projects"][0]["name"] == "shop"
    assert get("/identity/v3/auth/catalog", subject(response)).status_code == 403


@pytest.mark.parametrize("trouble", ["disabled", "no role"])
def test_default_project_that_cannot_be_used_gives_an_unscoped_token(
    anna: User, shop: Project, trouble: str
) -> None:
    if trouble == "disabled":
        Project.objects.update(enabled=False)
    else:
        Membership.objects.all().delete()
    assert "project" not in login(password()).json()["token"]


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"system": {"all": False}}, 400),
        ({"OS-TRUST:trust": {"id": "x"}}, 400),
        ({"project": {"id": "x"}, "system": {"all": True}}, 400),
        ({"domain": {"id": "default"}}, 401),
    ],
)
def test_scope_that_there_is_not_is_refused(anna: User, scope: Any, status: int) -> None:
    assert login(password(), scope).status_code == status


@pytest.mark.parametrize("scope", [None, PROJECT_BY_NAME])
def test_role_that_was_taken_away_is_not_got_back_with_an_old_token(anna: User, scope: Any) -> None:
    token = subject(login(password(), PROJECT_BY_NAME))
    Membership.objects.all().delete()
    response = login(by_token(token), scope)
    assert response.status_code == 401 or "roles" not in response.json()["token"]


@pytest.mark.parametrize("what", ["user", "project", "domain"])
def test_token_is_of_no_use_while_its_user_project_or_domain_is_disabled(
    anna: User, shop: Project, what: str
) -> None:
    token = subject(login(password(), PROJECT_BY_NAME))
    rows: Any = {"user": User, "project": Project, "domain": Domain}[what].objects
    rows.update(**{"is_active" if what == "user" else "enabled": False})
    assert get("/identity/v3/auth/projects", token).status_code == 401
    assert get("/v2.1/servers", token).status_code == 401


def test_token_ends_with_the_credential_that_it_was_made_with(anna: User, shop: Project) -> None:
    soon = clock.now() + timedelta(seconds=60)
    first = subject(login(credential_of(anna, shop, expires_at=soon)))
    subject(login(by_token(first)))
    assert set(Token.objects.values_list("expires_at", flat=True)) == {soon}


def test_credential_stays_in_its_project_through_every_exchange(anna: User, shop: Project) -> None:
    other = make_project(name="other")
    Membership.objects.create(user=anna, project=other, role="admin")
    Membership.objects.create(user=anna, project=None, role="admin")
    identity = credential_of(anna, shop)
    for who in (identity, by_token(subject(login(identity))), by_token(subject(login(identity, "unscoped")))):
        assert login(who, {"project": {"id": other.pk}}).status_code == 401
        assert login(who, {"system": {"all": True}}).status_code == 401
        assert [r["name"] for r in login(who, {"project": {"id": shop.pk}}).json()["token"]["roles"]] == [
            "reader"
        ]


def test_credential_has_no_role_that_its_owner_has_lost(anna: User, shop: Project) -> None:
    identity = credential_of(anna, shop)
    Membership.objects.all().delete()
    assert login(identity).status_code == 401


def test_credential_and_its_tokens_end_together(anna: User, shop: Project) -> None:
    token = subject(login(credential_of(anna, shop)))
    ApplicationCredential.objects.all().delete()
    assert get("/identity/v3/auth/projects", token).status_code == 401
