"""Who and what there is, to read: filters, roles, assignments, and how many queries it costs."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import ApplicationCredential, Domain, Membership, Project, User
from tests.api.identity.logging_in import HTTP, PROJECT_BY_NAME, get, login, password, subject
from tests.factories import make_project, make_token

pytestmark = pytest.mark.django_db
LISTS = ["projects", "users", "domains", "roles", "role_assignments", "role_assignments?include_names"]


@pytest.fixture
def root(anna: User, shop: Project) -> str:
    """Return the token of an admin."""
    return make_token(anna, shop, ["admin"])


@pytest.fixture
def token(anna: User, shop: Project) -> str:
    """Return the token of a member."""
    return make_token(anna, shop, ["member"])


def make_many(count: int) -> None:
    """Make that many domains, with a project and a user each, who is its member."""
    for number in range(count):
        domain = Domain.objects.create(name=f"domain {Domain.objects.count()} {number}")
        project = make_project(domain=domain)
        user = User.objects.create(name=f"{domain.name}'s", domain=domain, default_project=project)
        Membership.objects.create(user=user, project=project, role="member")


@pytest.mark.parametrize("name", LISTS)
def test_list_costs_as_many_queries_with_fifty_things_as_with_five(
    root: str, name: str, django_assert_max_num_queries: Any
) -> None:
    for more in (5, 45):
        make_many(more)
        with django_assert_max_num_queries(3):
            assert get(f"/identity/v3/{name}", root).status_code == 200


def test_credentials_cost_as_many_queries_with_fifty_as_with_five(
    root: str, anna: User, shop: Project, django_assert_num_queries: Any
) -> None:
    for more in (range(5), range(5, 50)):
        for number in more:
            ApplicationCredential.objects.create(name=str(number), user=anna, project=shop, secret_hash="x")
        with django_assert_num_queries(3):
            answer = get(f"/identity/v3/users/{anna.pk}/application_credentials", root)
        assert len(answer.json()["application_credentials"]) == more.stop


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("projects?name=shop", ["shop"]),
        ("projects?name=SHOP", []),
        ("projects?domain_id=default", ["closed", "shop"]),
        ("projects?enabled=false", ["closed"]),
        ("users?name=anna", ["anna"]),
        ("users?enabled=0", []),
        ("users?domain_id=none", []),
        ("domains?name=Default", ["Default"]),
        ("roles?name=reader", ["reader"]),
        ("roles", ["admin", "manager", "member", "reader"]),
    ],
)
def test_list_is_filtered(root: str, query: str, names: list[str]) -> None:
    make_project(name="closed", enabled=False)
    body = get(f"/identity/v3/{query}", root).json()
    assert [one["name"] for one in body[query.partition("?")[0]]] == names
    assert set(body["links"]) == {"self", "next", "previous"}


def test_single_things_are_shown_by_id_and_not_by_name(root: str, anna: User, shop: Project) -> None:
    for path in (f"projects/{shop.pk}", f"users/{anna.pk}", "domains/default"):
        assert get(f"/identity/v3/{path}", root).status_code == 200
    for path in ("projects/shop", "users/anna", "domains/Default", "roles/admin"):
        assert get(f"/identity/v3/{path}", root).json()["error"]["code"] == 404


def test_member_does_not_see_others(token: str) -> None:
    make_many(1)
    user, project = User.objects.exclude(name="anna").get(), Project.objects.exclude(name="shop").get()
    assert get(f"/identity/v3/users/{user.pk}", token).status_code == 404
    assert get(f"/identity/v3/projects/{project.pk}", token).status_code == 404
    assert get(f"/identity/v3/users/{user.pk}/projects", token).status_code == 403
    assert get(f"/identity/v3/users/{user.pk}/application_credentials", token).status_code == 403
    assert len(get("/identity/v3/role_assignments", token).json()["role_assignments"]) == 1


def test_assignments_say_who_has_which_role_where(root: str, anna: User, shop: Project) -> None:
    Membership.objects.create(user=anna, project=None, role="reader")
    path = "/identity/v3/role_assignments?include_names=true"
    found = get(path, root).json()["role_assignments"]
    assert {(one["user"]["name"], one["role"]["name"]) for one in found} == {
        ("anna", "manager"),
        ("anna", "admin"),
        ("anna", "reader"),
    }
    [system] = get(f"{path}&scope.system=all", root).json()["role_assignments"]
    assert system["scope"] == {"system": {"all": True}}
    owned, _ = get(f"{path}&scope.project.id={shop.pk}", root).json()["role_assignments"]
    assert owned["scope"]["project"] == {
        "id": shop.pk,
        "name": "shop",
        "domain": {"id": "default", "name": "Default"},
    }
    assert get(f"{path}&group.id=x", root).json()["role_assignments"] == []


@pytest.mark.parametrize(
    "more",
    [
        {"unrestricted": True},
        {"unrestricted": 0},
        {"unrestricted": {}},
        {"description": False},
        {"description": []},
        {"access_rules": {}},
        {"access_rules": [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-23:59"},
        {"expires_at": "tomorrow"},
        {"roles": [{"name": "member"}, {"name": "nonsense"}]},
        {"roles": []},
        {"name": ""},
    ],
)
def test_credential_is_never_more_than_was_asked_for(anna: User, more: dict[str, Any]) -> None:
    token = subject(login(password(), PROJECT_BY_NAME))
    response = HTTP.post(
        f"/identity/v3/users/{anna.pk}/application_credentials",
        {"application_credential": {"name": "cron", **more}},
        content_type="application/json",
        headers={"X-Auth-Token": token},
    )
    assert response.status_code == 400 and not ApplicationCredential.objects.exists()


def test_credential_is_shown_and_deleted_by_its_owner(token: str, anna: User, shop: Project) -> None:
    made = ApplicationCredential.objects.create(name="cron", user=anna, project=shop, secret_hash="x")
    path = f"/identity/v3/users/{anna.pk}/application_credentials/{made.pk}"
    assert get(path, token).json()["application_credential"]["name"] == "cron"
    assert HTTP.delete(path, headers={"X-Auth-Token": token}).status_code == 204
    assert get(path, token).status_code == 404


@pytest.mark.parametrize("path", ["/identity", "/identity/", "/identity/v3", "/identity/v3/"])
def test_version_is_told_to_everybody(db: None, path: str) -> None:
    response = HTTP.get(path)
    body = response.json()
    version = body["version"] if "v3" in path else body["versions"]["values"][0]
    assert response.status_code == (200 if "v3" in path else 300)
    assert {"id", "status", "links", "updated", "media-types"} <= set(version)
    assert response["Vary"] == "X-Auth-Token"


def test_unrouted_address_answers_in_keystones_form(db: None) -> None:
    for path in ("/identity/v3/nonsense", "/identity/v2.0/tokens", "/identity/v3/auth/tokens/"):
        assert HTTP.get(path).json()["error"]["title"] == "Not Found"
