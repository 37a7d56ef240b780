"""Who sees which page, in whose name one acts, and what operators change of users and roles."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.test import Client

from servers.audit import reading
from servers.models import ActionRecord, ApplicationCredential, Membership, Project, User
from tests.admin.visiting import Visitor, page_of, words
from tests.factories import make_domain, make_project, make_server, make_user

OPERATORS_ONLY = [
    *("user", "project", "membership", "domain", "token", "flavor", "servergroup", "aggregate"),
    *("storagepool", "allocation", "worker", "host", "auditrecord"),
]
EVERYBODYS = ["server", "actionrecord", "image", "applicationcredential"]


def listing(model: str) -> str:
    return f"/admin/servers/{model}/"


@pytest.mark.parametrize("model", [*OPERATORS_ONLY, *EVERYBODYS, "migration"])
def test_operator_sees_every_list(model: str, operator: Visitor) -> None:
    assert operator.get(listing(model)).status_code == 200


@pytest.mark.parametrize("role", ["manager", "member", "reader"])
@pytest.mark.parametrize("model", OPERATORS_ONLY)
def test_nobody_else_sees_what_is_the_operators(model: str, role: str, project: Project) -> None:
    visitor = Visitor(project, role)
    assert visitor.get(listing(model)).status_code == 403
    assert listing(model) not in visitor.get("/admin/").content.decode()


@pytest.mark.parametrize("model", EVERYBODYS)
def test_reader_sees_what_is_everybodys(model: str, onlooker: Visitor) -> None:
    assert onlooker.get(listing(model)).status_code == 200


@pytest.mark.parametrize("path", ["/admin/", "/admin/policy/", listing("server")])
def test_stranger_is_asked_to_log_in(path: str, project: Project) -> None:
    response = Client().get(path)
    assert response.status_code == 302 and "/admin/login/" in response["Location"]


def test_user_without_access_to_the_console_is_kept_out(project: Project) -> None:
    user = make_user("admin", project, is_staff=False)
    assert Visitor(project, user=user).get("/admin/").status_code == 302


# ---------------------------------------------------------------------------------- in whose name


def test_one_acts_for_the_project_that_one_has_chosen(project: Project) -> None:
    other = make_project(name="other")
    visitor = Visitor(project, "reader")
    Membership.objects.create(user=visitor.user, project=other, role="member")
    server = make_server(other)
    assert visitor.ask("lock", server).status_code == 404
    assert (
        visitor.post("/admin/act-for/", {"project": other.pk, "next": "/admin/servers/server/"}).status_code
        == 303
    )
    assert visitor.ask("lock", server).status_code == 303
    assert ActionRecord.objects.get().project_id == other.pk


def test_role_in_one_project_is_none_in_another(project: Project) -> None:
    visitor = Visitor(project, "reader")
    Membership.objects.create(user=visitor.user, project=make_project(), role="admin")
    assert visitor.get(listing("host")).status_code == 403


def test_project_of_others_cannot_be_chosen(onlooker: Visitor) -> None:
    assert onlooker.post("/admin/act-for/", {"project": make_project().pk}).status_code == 400


def test_choosing_does_not_lead_away(onlooker: Visitor, project: Project) -> None:
    response = onlooker.post("/admin/act-for/", {"project": project.pk, "next": "https://example.org/"})
    assert response["Location"] == "/admin/"


def test_project_that_is_disabled_cannot_be_acted_for(project: Project) -> None:
    visitor = Visitor(project, "admin")
    Project.objects.filter(pk=project.pk).update(enabled=False)
    assert visitor.get(listing("host")).status_code == 403


def test_membership_that_ends_ends_at_once(operator: Visitor) -> None:
    assert operator.get(listing("host")).status_code == 200
    Membership.objects.all().delete()
    assert operator.get(listing("host")).status_code == 403


# ------------------------------------------------------------------------------------------ changes


def test_operator_makes_a_user_with_a_role_and_a_password(operator: Visitor, project: Project) -> None:
    inline = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0"}
    row = {"memberships-0-project": project.pk, "memberships-0-role": "member"}
    fields = {"name": "eva", "domain": make_domain().pk, "is_active": "on", "new_password": "a s3cret word"}
    assert operator.post(f"{listing('user')}add/", {**fields, **inline, **row}).status_code == 302
    user = User.objects.get(name="eva")
    assert user.check_password("a s3cret word") and user.memberships.get().role == "member"


def test_change_is_recorded_with_who_made_it(operator: Visitor, project: Project) -> None:
    inline = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    fields = {"name": "renamed", "domain": project.domain_id, "enabled": "on"}
    assert operator.post(page_of(project), {**fields, **inline}).status_code == 302
    text = operator.text(f"{listing('project')}{project.pk}/history/")
    assert f"{operator.user.name} renamed project owner to renamed by console" in text


def test_deleted_membership_leaves_its_trace(operator: Visitor, project: Project) -> None:
    row = Membership.objects.create(user=make_user(), project=project, role="member")
    operator.post(f"{page_of(row).replace('change', 'delete')}", {"post": "yes"})
    record = reading.page(reading.of(row), 1).records[0]
    assert (record.verb, record.door, record.who_id) == ("deleted", "console", operator.user.pk)


def test_everybody_sees_and_deletes_his_own_credentials_alone(onlooker: Visitor, operator: Visitor) -> None:
    def credential(user: User, name: str) -> ApplicationCredential:
        found = ApplicationCredential(user=user, name=name, project=make_project())
        found.set_secret("x" * 8)
        found.save()
        return found

    mine, foreign = credential(onlooker.user, "mine"), credential(operator.user, "foreign")
    text = onlooker.text(listing("applicationcredential"))
    assert "mine" in text and "foreign" not in text
    onlooker.post(f"{listing('applicationcredential')}{foreign.pk}/delete/", {"post": "yes"})
    onlooker.post(f"{listing('applicationcredential')}{mine.pk}/delete/", {"post": "yes"})
    assert [c.name for c in ApplicationCredential.objects.all()] == ["foreign"]


CREDENTIALS = "/admin/servers/applicationcredential/"


def test_credential_is_made_for_the_project_one_acts_in_and_its_secret_shown_once(
    onlooker: Visitor, project: Project
) -> None:
    answer = onlooker.post(f"{CREDENTIALS}add/", {"name": "robot", "roles": ["reader"]})
    made = ApplicationCredential.objects.get(name="robot")
    assert (made.user, made.project, made.roles) == (onlooker.user, project, ["reader"])
    secret = re.search(r"application_credential_secret: (\S+)", words(answer))
    assert secret is not None and check_password(secret[1], made.secret_hash)
    assert "no-store" in answer["Cache-Control"]
    assert secret[1] not in onlooker.text(page_of(made)) + onlooker.text(f"{CREDENTIALS}{made.pk}/history/")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "robot", "roles": ["admin"]}, "Select a valid choice. admin is not one of"),
        ({"name": "", "roles": ["reader"]}, "This field is required"),
        ({"name": "robot"}, "This field is required"),
        (
            {"name": "robot", "roles": ["reader"], "expires_at": "2001-01-01T00:00"},
            "Name a time to come",
        ),
    ],
)
def test_credential_that_asks_for_too_much_is_not_made(
    onlooker: Visitor, fields: dict[str, Any], said: str
) -> None:
    assert said in words(onlooker.post(f"{CREDENTIALS}add/", fields))
    assert not ApplicationCredential.objects.exists()


def test_second_credential_of_the_same_name_is_refused(onlooker: Visitor) -> None:
    fields = {"name": "robot", "roles": ["reader"]}
    onlooker.post(f"{CREDENTIALS}add/", fields)
    answer = onlooker.post(f"{CREDENTIALS}add/", fields)
    assert "You have an application credential robot already." in words(answer)


def test_record_names_users_and_projects(operator: Visitor, project: Project) -> None:
    eva = make_user(name="eva", default_project=project)
    eva.default_project = make_project(name="garden")
    eva.save()
    record = reading.page(reading.of(eva), 1).records[0]
    shown = f"default_project {project.name} ({project.pk}) garden ({eva.default_project.pk})"
    assert shown in operator.text(page_of(record))


def test_digest_of_a_token_is_not_shown(operator: Visitor, admin: object) -> None:
    assert "digest" not in operator.text(listing("token")).lower()


# ------------------------------------------------------------------------------------------- logging in


def log_in(name: str, password: str) -> int:
    return Client().post("/admin/login/?next=/admin/", {"username": name, "password": password}).status_code


def test_login_is_refused_after_too_many_failures_even_with_the_right_password(
    project: Project, settings: object
) -> None:
    user = make_user("admin", project)
    user.set_password("right")
    user.save()
    assert log_in(user.name, "right") == 302
    failures = [log_in(user.name, "wrong") for _ in range(10)]
    assert failures[0] == 200
    assert log_in(user.name, "right") in {403, 429}


def test_refused_and_missing_pages_say_so_in_the_console(onlooker: Visitor) -> None:
    assert "Not permitted" in onlooker.text(listing("host"))
    missing = "00000000-0000-4000-8000-000000000000"
    said = f"Instance {missing} could not be found."
    assert said in onlooker.text(f"{listing('server')}{missing}/change/")
