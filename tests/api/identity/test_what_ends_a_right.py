"""What ends a right ends all that rests on it, by every way of writing; and giving it again revives nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Model
from django.urls import reverse

from servers.models import ApplicationCredential, Domain, Membership, Project, Token, User
from servers.models.identity import Switched, SwitchedRows
from tests.admin.visiting import Visitor
from tests.api.identity.logging_in import HTTP, TOKENS, by_credential, by_token, get, login, password, subject
from tests.factories import make_domain, make_project

pytestmark = pytest.mark.django_db

OLD, NEW = "the old password 1", "a wholly new word 2"
CREDENTIALS = "/identity/v3/users/{}/application_credentials"
NO_ROWS = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


class Stage:
    """Anna of the domain people, manager of a shop of the domain goods, with everything that can rest on that."""

    def __init__(self) -> None:
        self.people, self.goods = (Domain.objects.create(name=name) for name in ("people", "goods"))
        self.shop = make_project(name="shop", domain=self.goods)
        self.anna = User.objects.create_user("anna", OLD, domain=self.people, default_project=self.shop)
        self.give_role()
        self.operator = Visitor(make_project(name="operators", domain=make_domain()), "admin")
        scope = {"project": {"id": self.shop.pk}}
        made = ApplicationCredential(name="cron", user=self.anna, project=self.shop, roles=["reader"])
        secret = made.set_secret()
        made.save()
        self.credential, program = made, by_credential(id=made.pk, secret=secret)
        known = {"domain": {"name": "people"}}
        self.tokens = {
            "token": subject(login(password(secret=OLD, **known), scope)),
            "unscoped token": subject(login(password(secret=OLD, **known), "unscoped")),
            "credential's token": subject(login(program)),
        }
        for of in ("token", "credential's token"):
            self.tokens[f"exchanged {of}"] = subject(login(by_token(self.tokens[of]), scope))
        again = by_token(self.tokens["exchanged token"])
        self.tokens["token exchanged twice"] = subject(login(again, "unscoped"))
        self.session = Visitor(self.shop, user=self.anna)
        self.works: dict[str, Callable[[], bool]] = {
            name: lambda secret=secret: get("/identity/v3/auth/projects", secret).status_code == 200  # type: ignore[misc]
            for name, secret in self.tokens.items()
        }
        self.works["session"] = lambda: self.session.get("/admin/").status_code == 200
        self.works["credential"] = lambda: login(program).status_code == 201

    def give_role(self) -> None:
        Membership.objects.create(user=self.anna, project=self.shop, role="manager")

    def working(self) -> set[str]:
        """Return the names of what still lets somebody in."""
        return {name for name, works in self.works.items() if works()}

    def save_form(self, row: Model, **fields: Any) -> None:
        """Send the console's form of a row, as an operator who changes these fields of it."""
        names = ("name", "domain", "email", "default_project", "is_active", "is_staff", "enabled")
        now = {name: getattr(row, f"{name}_id", getattr(row, name, None)) for name in names}
        sent = {name: value for name, value in {**now, **fields}.items() if value not in (None, False)}
        answer = self.operator.post(page(row, "change"), {**sent, **NO_ROWS})
        assert answer.status_code == 302, answer.content.decode()


def page(row: Model, kind: str) -> str:
    return reverse(f"admin:servers_{row._meta.model_name}_{kind}", args=[row.pk])


ALL = frozenset(
    [
        *("token", "unscoped token", "exchanged token", "token exchanged twice"),
        *("credential's token", "exchanged credential's token", "session", "credential"),
    ]
)
OF_THE_CREDENTIAL = frozenset(["credential", "credential's token", "exchanged credential's token"])
OF_THE_PROJECT = frozenset(["token", "exchanged token"]) | OF_THE_CREDENTIAL


@dataclass(frozen=True)
class Ending:
    """Something that ends rights: how it is written, what it ends, and what the same right, given again, revives."""

    ends: frozenset[str]
    ways: dict[str, Callable[[Stage], None]]
    again: Callable[[Stage], None] | None = None
    revives: frozenset[str] = frozenset()
    row: Callable[[Stage], Any] | None = None
    """The row that is switched off, where it is one."""


def switching(of: Callable[[Stage], Any], ends: frozenset[str]) -> Ending:
    """Return the ending by switching a row off; its credentials are suspended, and nothing else comes back."""

    def switch(stage: Stage, on: bool) -> Any:
        row = of(stage)
        row.refresh_from_db()
        setattr(row, row.switch, on)
        return row

    def bulk(stage: Stage) -> None:
        row = switch(stage, False)
        type(row).objects.bulk_update([row], [row.switch])

    def update(stage: Stage) -> None:
        row = of(stage)
        type(row).objects.filter(pk=row.pk).update(**{row.switch: False})

    def again(stage: Stage) -> None:
        switch(stage, True).save()

    ways: dict[str, Callable[[Stage], None]] = {
        "save": lambda stage: switch(stage, False).save(),
        "save one field": lambda stage: switch(stage, False).save(update_fields=[of(stage).switch]),
        "update": update,
        "bulk update": bulk,
        "console": lambda stage: stage.save_form(of(stage), **{of(stage).switch: False}),
    }
    return Ending(ends, ways, again, frozenset({"credential"}), of)


def set_password(stage: Stage) -> None:
    user = User.objects.get(pk=stage.anna.pk)
    user.set_password(NEW)
    user.save()


def change_own_password(stage: Stage) -> None:
    own = Visitor(stage.shop, user=User.objects.get(pk=stage.anna.pk))
    fields = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    assert own.post("/admin/password_change/", fields).status_code == 302
    assert own.get("/admin/").status_code == 200


def delete_by_console(of: Callable[[Stage], Model]) -> Callable[[Stage], None]:
    def delete(stage: Stage) -> None:
        answer = stage.operator.post(page(of(stage), "delete"), {"post": "yes"})
        assert answer.status_code == 302, answer.content.decode()

    return delete


def delete_by_rest(stage: Stage) -> None:
    path = f"{CREDENTIALS.format(stage.anna.pk)}/{stage.credential.pk}"
    assert HTTP.delete(path, headers={"X-Auth-Token": stage.tokens["token"]}).status_code == 204


def revoke(stage: Stage) -> None:
    secret = stage.tokens["token"]
    assert HTTP.delete(TOKENS, headers={"X-Auth-Token": secret, "X-Subject-Token": secret}).status_code == 204


def role(stage: Stage) -> Membership:
    return stage.anna.memberships.get()


ENDINGS = {
    "password": Ending(
        ALL - {"credential"},
        {
            "save": set_password,
            "update": lambda stage: (
                User.objects.filter(name="anna").update(password=make_password(NEW)) and None
            ),
            "console": lambda stage: stage.save_form(stage.anna, new_password=NEW),
            "own": change_own_password,
        },
    ),
    "password and credentials": Ending(
        ALL, {"console": lambda stage: stage.save_form(stage.anna, new_password=NEW, end_credentials="on")}
    ),
    "user": switching(lambda stage: stage.anna, ALL),
    "domain of the user": switching(lambda stage: stage.people, ALL),
    "project": switching(lambda stage: stage.shop, OF_THE_PROJECT),
    "domain of the project": switching(lambda stage: stage.goods, OF_THE_PROJECT),
    "role": Ending(
        OF_THE_PROJECT,
        {
            "delete": lambda stage: role(stage).delete() and None,
            "delete many": lambda stage: Membership.objects.filter(user=stage.anna).delete() and None,
            "console": delete_by_console(role),
        },
        Stage.give_role,
    ),
    "deleted user": Ending(
        ALL,
        {
            "delete": lambda stage: stage.anna.delete() and None,
            "console": delete_by_console(lambda stage: stage.anna),
        },
    ),
    "deleted project": Ending(
        OF_THE_PROJECT,
        {
            "delete": lambda stage: stage.shop.delete() and None,
            "console": delete_by_console(lambda stage: stage.shop),
        },
    ),
    "revoked token": Ending(
        frozenset(["token", "exchanged token", "token exchanged twice"]), {"REST": revoke}
    ),
    "credential": Ending(
        OF_THE_CREDENTIAL,
        {
            "delete": lambda stage: stage.credential.delete() and None,
            "REST": delete_by_rest,
            "console": delete_by_console(lambda stage: stage.credential),
        },
    ),
}


@pytest.fixture
def stage(db: None) -> Iterator[Stage]:
    stage = Stage()
    assert stage.working() == ALL
    yield stage


@pytest.mark.parametrize(
    ("ending", "way"),
    [(name, way) for name, ending in ENDINGS.items() for way in ending.ways],
    ids=lambda value: value.replace(" ", "-"),
)
def test_everything_that_rests_on_a_right_ends_with_it_for_good(stage: Stage, ending: str, way: str) -> None:
    what = ENDINGS[ending]
    what.ways[way](stage)
    assert stage.working() == ALL - what.ends
    if what.again is not None:
        what.again(stage)
        assert stage.working() == (ALL - what.ends) | what.revives


def test_every_kind_of_row_that_can_be_switched_off_is_among_the_endings(stage: Stage) -> None:
    rows = [ending.row(stage) for ending in ENDINGS.values() if ending.row]
    assert {type(row) for row in rows} == set(Switched.__subclasses__())


@pytest.mark.parametrize("model", Switched.__subclasses__())
def test_no_switch_is_written_around_its_stamp(model: type[Switched]) -> None:
    assert isinstance(model._default_manager.get_queryset(), SwitchedRows)
    with pytest.raises(TypeError, match="is not written over"):
        model._default_manager.bulk_create([], update_conflicts=True)


def test_saving_a_row_that_was_read_before_its_switch_was_turned_revives_nothing(stage: Stage) -> None:
    read_before = Project.objects.get(pk=stage.shop.pk)
    for enabled in (False, True):
        Project.objects.filter(pk=stage.shop.pk).update(enabled=enabled)
    read_before.description = "the old one"
    read_before.save()
    assert stage.working() == (ALL - OF_THE_PROJECT) | {"credential"}


def test_what_turns_no_switch_ends_nothing(stage: Stage) -> None:
    stage.shop.description = "another one"
    stage.shop.save()
    Project.objects.update(enabled=True)
    stage.anna.email = "anna@example.org"
    stage.anna.save()
    stage.save_form(stage.people, name="humans")
    assert stage.working() == ALL


def test_a_role_that_was_taken_and_given_again_does_not_come_back_beside_another_one(stage: Stage) -> None:
    Membership.objects.create(user=stage.anna, project=stage.shop, role="reader")
    known = {"domain": {"name": "people"}}
    secret = subject(login(password(secret=OLD, **known), {"project": {"id": stage.shop.pk}}))
    stage.anna.memberships.get(role="manager").delete()
    stage.give_role()
    looked_up = HTTP.get(TOKENS, headers={"X-Auth-Token": secret, "X-Subject-Token": secret}).json()["token"]
    assert [role["name"] for role in looked_up["roles"]] == ["reader"]


def test_a_membership_is_given_or_taken_away_and_never_changed(stage: Stage) -> None:
    row = role(stage)
    row.role = "admin"
    for change in (
        row.save,
        lambda: Membership.objects.update(role="admin"),
        lambda: Membership.objects.bulk_update([row], ["role"]),
        lambda: stage.anna.memberships.update(role="admin"),
        lambda: Membership.objects.bulk_create([row], update_conflicts=True),
    ):
        with pytest.raises(TypeError, match="given or taken away"), transaction.atomic():
            change()
    assert role(stage).role == "manager"
    assert stage.operator.post(page(row, "change"), {"role": "admin"}).status_code == 403


def test_a_token_that_is_made_of_one_that_ends_meanwhile_has_ended(stage: Stage) -> None:
    parent = Token.find(stage.tokens["token"])
    assert parent is not None
    parent.revoke()
    _, secret = Token.issue(parent.user, 60, parent=parent)
    assert Token.find(secret) is None


def test_a_token_that_is_issued_after_its_proof_was_taken_away_has_ended(stage: Stage) -> None:
    proven = User.objects.select_related("domain").get(pk=stage.anna.pk)
    set_password(stage)
    _, secret = Token.issue(proven, 60)
    assert Token.find(secret) is None


def test_a_program_whose_role_is_gone_gets_no_unscoped_token_either(stage: Stage) -> None:
    stage.credential.set_secret("another secret of it")
    stage.credential.save()
    program = by_credential(id=stage.credential.pk, secret="another secret of it")
    unscoped = subject(login(program, "unscoped"))
    role(stage).delete()
    stage.give_role()
    assert get("/identity/v3/auth/projects", unscoped).status_code == 401
    assert login(program, "unscoped").status_code == 401
