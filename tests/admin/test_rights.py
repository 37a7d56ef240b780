"""Who gets in, who may change who there is, and what a password has to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.sessions.models import Session
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from servers import policy
from servers.admin.caller import FLEET, IDENTITY, OPERATORS, choices_of
from servers.admin.site import console
from servers.audit import reading
from servers.management.accounts import ensure_admin
from servers.models import (
    ActionRecord,
    ApplicationCredential,
    Domain,
    Membership,
    Project,
    Token,
    User,
)
from tests.admin.visiting import Visitor, page_of, words
from tests.factories import make_action, make_domain, make_project, make_server, make_token, make_user

pytestmark = pytest.mark.django_db

OLD, NEW = "the old password 1", "a wholly new word 2"
OWN_PASSWORD = "/admin/password_change/"
NO_ROWS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def fast_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def with_password(role: str, project: Project, **fields: Any) -> User:
    """Return a new user who knows OLD."""
    user = make_user(role, project, default_project=project, **fields)
    user.set_password(OLD)
    user.save()
    return user


def log_in(user: User, password: str = OLD) -> int:
    fields = {"username": user.name, "password": password}
    return Client().post("/admin/login/?next=/admin/", fields).status_code


# -------------------------------------------------------------------------------------- who gets in


def test_the_admin_of_a_disabled_domain_is_not_let_in_and_does_not_stay(project: Project) -> None:
    elsewhere = Domain.objects.create(name="elsewhere")
    user = with_password("admin", project, domain=elsewhere)
    visitor = Visitor(project, user=user)
    assert log_in(user) == 302
    Domain.objects.filter(pk=elsewhere.pk).update(enabled=False)
    assert log_in(user) == 200
    assert visitor.get("/admin/servers/user/").status_code == 302


def test_nobody_acts_for_a_project_of_a_disabled_domain(project: Project) -> None:
    user = make_user("admin", make_project(domain=Domain.objects.create(name="off", enabled=False)))
    Membership.objects.create(user=user, project=project, role="reader")
    assert [choice.key for choice in choices_of(user)] == [project.pk]


# ------------------------------------------------------------------------ who changes who there is


@pytest.fixture
def lookers(tmp_path: Path) -> Iterator[None]:
    """Let admins read what operators see, and change nothing of it."""
    rules = "".join(f'"{rule}": "!"\n' for rule in (IDENTITY, FLEET))
    (tmp_path / "policy.yaml").write_text(rules)
    policy.in_force.cache_clear()
    yield
    policy.in_force.cache_clear()


def pages() -> list[ModelAdmin[Any]]:
    """Return the console's lists, and what stands below their rows."""
    lists = list(console._registry.values())
    return [*lists, *(inline(admin.model, console) for admin in lists for inline in admin.inlines)]  # type: ignore[misc]


@pytest.mark.parametrize("page", pages(), ids=lambda page: type(page).__name__)
def test_no_rule_of_reading_is_a_rule_of_changing(page: Any) -> None:
    assert page.write_rule != page.read_rule
    assert page.write_rule != OPERATORS


@pytest.mark.usefixtures("lookers")
@pytest.mark.parametrize(
    "model", ["user", "project", "domain", "membership", "flavor", "aggregate", "storagepool"]
)
def test_who_may_look_changes_nothing(model: str, operator: Visitor, project: Project) -> None:
    assert operator.get(f"/admin/servers/{model}/").status_code == 200
    assert operator.post(f"/admin/servers/{model}/add/", {"name": "x"}).status_code == 403


@pytest.mark.usefixtures("lookers")
def test_who_may_look_neither_makes_himself_admin_nor_ends_what_is_anothers(
    operator: Visitor, project: Project
) -> None:
    row = {"memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0", "memberships-0-role": "admin"}
    fields = {"name": operator.user.name, "domain": make_domain().pk, "is_active": "on", "is_staff": "on"}
    assert operator.post(page_of(operator.user), {**fields, **row}).status_code == 403
    assert not operator.user.memberships.filter(project=None).exists()
    foreign = ApplicationCredential(user=make_user("reader", project), name="cron", project=project)
    foreign.set_secret()
    foreign.save()
    path = reverse("admin:servers_applicationcredential_delete", args=[foreign.pk])
    assert operator.post(path, {"post": "yes"}).status_code == 403
    ticked = {"action": "delete_selected", "_selected_action": [foreign.pk], "post": "yes"}
    operator.post("/admin/servers/applicationcredential/", ticked)
    assert ApplicationCredential.objects.filter(pk=foreign.pk).exists()


def test_nobody_deactivates_himself(operator: Visitor) -> None:
    fields = {"name": operator.user.name, "domain": operator.user.domain_id, "is_staff": "on"}
    answer = operator.post(page_of(operator.user), {**fields, **NO_ROWS})
    assert "You cannot deactivate yourself." in words(answer)
    assert User.objects.get(pk=operator.user.pk).is_active


def test_nobody_deletes_himself(operator: Visitor) -> None:
    path = reverse("admin:servers_user_delete", args=[operator.user.pk])
    assert operator.post(path, {"post": "yes"}).status_code == 403
    ticked = {"action": "delete_selected", "_selected_action": [operator.user.pk], "post": "yes"}
    operator.post("/admin/servers/user/", ticked)
    assert User.objects.filter(pk=operator.user.pk).exists()


def test_a_user_with_history_is_deleted_and_what_he_did_keeps_his_name(
    operator: Visitor, project: Project
) -> None:
    user = make_user("member", project, name="eva")
    make_token(user, project, ["member"])
    record = make_action(make_server(project), user_id=user.pk)
    path = reverse("admin:servers_user_delete", args=[user.pk])
    page = operator.get(path)
    assert page.status_code == 200 and "deactivate it" in words(page)
    assert operator.post(path, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists() and not Token.objects.filter(user=user.pk).exists()
    assert ActionRecord.objects.get(pk=record.pk).user_id == user.pk
    record = reading.page(reading.of(user), 1).records[0]
    assert (record.object_name, record.verb, record.who) == ("eva", "deleted", operator.user.name)


def test_a_list_of_tokens_says_which_ones_let_somebody_in(operator: Visitor, project: Project) -> None:
    user = make_user("member", project)
    make_token(user, project, ["member"])
    page = operator.get("/admin/servers/token/").content.decode()
    assert 'alt="True"' in page and 'alt="False"' not in page
    user.is_active = False
    user.save()
    assert 'alt="False"' in operator.get("/admin/servers/token/").content.decode()


# --------------------------------------------------------------------------------------- passwords

BAD = {
    "a": "too short",
    "918273645546372819": "entirely numeric",
    "administrator": "too common",
    "eva@example.org": "too similar",
}


def ways_to_set(user: User, project: Project, password: str) -> dict[str, Any]:
    """Return the answer of each form of the console that sets a password."""
    operator = Visitor(project, "admin")
    fields = {"name": user.name, "domain": user.domain_id, "email": user.email, "is_active": "on"}
    new = {"new_password1": password, "new_password2": password, "old_password": OLD}
    return {
        "reset": operator.post(page_of(user), {**fields, **NO_ROWS, "new_password": password}),
        "own": Visitor(project, user=user).post(OWN_PASSWORD, new),
        "new user": operator.post(
            "/admin/servers/user/add/",
            {**fields, **NO_ROWS, "name": f"{user.name}2", "new_password": password},
        ),
    }


@pytest.mark.parametrize("password", BAD)
def test_a_password_that_is_easily_guessed_is_refused_by_every_form(password: str, project: Project) -> None:
    user = with_password("member", project, name="eva", email="eva@example.org")
    for way, answer in ways_to_set(user, project, password).items():
        assert answer.status_code == 200 and BAD[password] in words(answer), way
    assert User.objects.get(pk=user.pk).check_password(OLD)
    assert not User.objects.filter(name="eva2").exists()


def test_an_admins_password_that_is_easily_guessed_is_refused_at_the_start(db: None, settings: Any) -> None:
    settings.ADMIN_PASSWORD = "secret"
    with pytest.raises(CommandError, match="ADMIN_PASSWORD: This password is too short"):
        ensure_admin()
    assert not User.objects.exists()
    settings.ADMIN_PASSWORD = NEW
    assert ensure_admin().user.check_password(NEW)


def test_everybody_changes_his_own_password_and_stays_logged_in_there_alone(project: Project) -> None:
    user = with_password("reader", project)
    here, elsewhere = Visitor(project, user=user), Visitor(project, user=user)
    assert OWN_PASSWORD in here.get("/admin/").content.decode()
    new = {"new_password1": NEW, "new_password2": NEW, "old_password": OLD}
    assert here.post(OWN_PASSWORD, new)["Location"] == "/admin/password_change/done/"
    assert "Your password is changed" in here.text("/admin/password_change/done/")
    assert [visitor.get("/admin/").status_code for visitor in (here, elsewhere)] == [200, 302]
    assert (log_in(user, OLD), log_in(user, NEW)) == (200, 302)


def test_ones_own_credentials_end_with_the_password_where_one_says_so(project: Project) -> None:
    user = with_password("reader", project)
    made = ApplicationCredential(user=user, name="cron", project=project, roles=["reader"])
    made.set_secret()
    made.save()
    new = {"new_password1": NEW, "new_password2": NEW, "old_password": OLD, "end_credentials": "on"}
    assert Visitor(project, user=user).post(OWN_PASSWORD, new).status_code == 302
    assert not ApplicationCredential.objects.exists()


def test_the_old_password_is_not_guessed_by_whoever_has_the_session(project: Project, settings: Any) -> None:
    user = with_password("reader", project)
    visitor = Visitor(project, user=user)
    guess = {"new_password1": NEW, "new_password2": NEW, "old_password": "wrong"}
    answers = [visitor.post(OWN_PASSWORD, guess) for _ in range(settings.LOGIN_FAILURES_LIMIT + 1)]
    assert "old password was entered incorrectly" in words(answers[0])
    assert answers[-1].status_code in {403, 429}
    visitor.post(OWN_PASSWORD, {**guess, "old_password": OLD})
    assert User.objects.get(pk=user.pk).check_password(OLD)


def test_a_session_says_nothing_of_the_password_itself(project: Project) -> None:
    user = with_password("reader", project)
    Visitor(project, user=user)
    assert user.password not in str(Session.objects.get().get_decoded())


# ------------------------------------------------------------------------- application credentials


def test_a_user_makes_no_more_credentials_than_the_limit(onlooker: Visitor, settings: Any) -> None:
    settings.APPLICATION_CREDENTIAL_LIMIT = 1
    answers = [
        onlooker.post("/admin/servers/applicationcredential/add/", {"name": name, "roles": ["reader"]})
        for name in ("one", "two")
    ]
    assert "A user has at most 1 application credentials" in words(answers[1])
    assert ApplicationCredential.objects.get().name == "one"
