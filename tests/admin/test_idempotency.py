"""Every form of the console acts once, however often it is sent, also without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as deployment
from django.http import HttpRequest
from django.urls import reverse

from servers.actions import registry
from servers.admin import bulk
from servers.admin.action_form_view import SeeOther
from servers.admin.site import console
from servers.engine.accepting.idempotency import Claim
from servers.inventory.discovery.apply import Owner, adopt
from servers.inventory.discovery.discover import discover
from servers.models import (
    ActionRecord,
    ApplicationCredential,
    Domain,
    IdempotencyKey,
    Project,
    SecondFactor,
    Server,
)
from tests.admin.visiting import FORMS, Visitor, form_of, page_of, words
from tests.api.image.storing import stored
from tests.factories import make_user
from tests.fuzz.rows import rows
from tests.logins.devices import Device, give_device
from tests.small_fleet import SmallFleet, fleet_of
from tests.stalling import stalled_move
from tests.unknown_guests import place, stranger

TEMPLATES = deployment.BASE_DIR / "templates"
WITHOUT_KEYS = {
    "act-for": "it chooses a project for the session, and chooses it again",
    "logout-form": "who is logged out is logged out",
    "second-step": "nobody has logged in yet, and a code is good once",
    "second-step-setup": "nobody has logged in yet, and a device that is there is not replaced",
}
"""Forms that carry no key, by the id of the form."""
FORM = re.compile(r'<form[^>]*method="post"[^>]*>.*?</form>', re.DOTALL)
KEY = re.compile(r'<input type="hidden" name="idempotency_key" value="([^"]+)">')


def form_tags() -> list[tuple[str, str]]:
    """Return every form that is posted, with the template in which it stands."""
    found = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        found += [(path.name, form) for form in FORM.findall(path.read_text())]
    return found


@pytest.mark.parametrize(("template", "form"), form_tags(), ids=[name for name, _ in form_tags()])
def test_every_form_of_a_template_carries_a_key_or_says_why_not(template: str, form: str) -> None:
    exempt = any(f'id="{name}"' in form for name in WITHOUT_KEYS)
    assert ("{% idempotency_key %}" in form) is not exempt


@pytest.mark.django_db
@pytest.mark.parametrize("model", sorted(m._meta.model_name for m in console._registry))
def test_every_page_on_which_a_row_is_added_carries_a_key(operator: Visitor, model: str) -> None:
    page = operator.get(reverse(f"admin:servers_{model}_add"))
    forms = [f for f in FORM.findall(page.content.decode()) if not any(name in f for name in WITHOUT_KEYS)]
    assert all(KEY.search(form) for form in forms)
    assert forms or page.status_code in {403, 404}


# ------------------------------------------------------------------------------ each form is sent twice


@dataclass
class Form:
    """A form: where it is shown and where it is sent, what it says, and what else it might say."""

    shown: str
    fields: dict[str, Any]
    other: dict[str, Any]
    sent: str = ""
    secret: bool = False
    key: str = field(default="")

    def send(self, visitor: Visitor, **more: Any) -> Any:
        """Send the form as the page has it, each time with the key of the first."""
        if not self.key:
            found = KEY.search(visitor.get(self.shown).content.decode())
            assert found is not None
            self.key = found[1]
        fields = {**self.fields, **more, "idempotency_key": self.key}
        return visitor.post(self.sent or self.shown, fields)


@pytest.fixture
def fleet(project: Project, settings: Any) -> Iterator[SmallFleet]:
    settings.SECOND_FACTOR = "optional"
    with fleet_of(project) as fleet:
        adopt(discover(), Owner(project.pk, "somebody"))
        yield fleet


def act(fleet: SmallFleet, visitor: Visitor) -> Form:
    server = fleet.add_server()
    return Form(form_of("create-backup", server), FORMS["create-backup"], {"name": "other"})


def act_on_many(fleet: SmallFleet, visitor: Visitor) -> Form:
    servers = [fleet.add_server(name) for name in ("web", "mail")]
    return Form(bulk.bulk_url(registry["lock"], [s.pk for s in servers]), {}, {"locked_reason": "other"})


def restore(fleet: SmallFleet, visitor: Visitor) -> Form:
    backup = {"name": "nightly", "backup_type": "daily", "rotation": 1}
    image = fleet.do("create-backup", fleet.add_server(), **backup).image_id
    fields = {"name": "again", "host": "node2", "start": "true"}
    return Form(f"/admin/servers/image/{image}/restore/", fields, {"name": "other"})


def remove_image(fleet: SmallFleet, visitor: Visitor) -> Form:
    image = stored(fleet.project)
    return Form(page_of(image), {}, {"x": "y"}, sent=f"/admin/servers/image/{image.pk}/remove/")


def switch_host(fleet: SmallFleet, visitor: Visitor) -> Form:
    host = fleet.add_host("switched")
    fields = {"enabled": "no", "reason": "smokes"}
    return Form(page_of(host), fields, {"reason": "burns"}, sent=f"/admin/servers/host/{host.pk}/switch/")


def judge(fleet: SmallFleet, visitor: Visitor) -> Form:
    record = stalled_move(fleet, fleet.add_server("stuck"))
    fields = {"verdict": "look_again", "look_again-reason": "the switch is mended"}
    return Form(f"/admin/servers/actionrecord/{record.pk}/judge/", fields, {"look_again-reason": "other"})


def write_plan(fleet: SmallFleet, visitor: Visitor) -> Form:
    place(fleet, stranger("mail"))
    page = "/admin/servers/host/discover/"
    shown = re.search(r'name="shown" value="([^"]+)"', visitor.get(page).content.decode())
    assert shown is not None
    return Form(page, {"shown": unescape(shown[1]), "project": fleet.project.pk}, {"shown": "{}"})


def make_credential(fleet: SmallFleet, visitor: Visitor) -> Form:
    page = "/admin/servers/applicationcredential/add/"
    return Form(page, {"name": "robot", "roles": ["reader"]}, {"name": "other"}, secret=True)


def delete_credential(fleet: SmallFleet, visitor: Visitor) -> Form:
    made = ApplicationCredential(name="old", user=visitor.user, project=fleet.project, roles=["member"])
    made.set_secret("secret")
    made.save()
    return Form(f"/admin/servers/applicationcredential/{made.pk}/delete/", {"post": "yes"}, {"post": "no"})


def add_domain(fleet: SmallFleet, visitor: Visitor) -> Form:
    return Form(
        "/admin/servers/domain/add/", {"id": "new", "name": "new", "enabled": "on"}, {"name": "other"}
    )


def own_device(fleet: SmallFleet, visitor: Visitor) -> Form:
    visitor.user.set_password("secret")
    visitor.user.save()
    visitor.client.force_login(visitor.user)
    page = "/admin/second-factor/"
    key = re.search(r'data-what="key">([A-Z2-7]+)<', visitor.get(page).content.decode())
    assert key is not None
    fields = {"old_password": "secret", "code": Device.typed(key[1]).code()}
    return Form(page, fields, {"code": "1"}, secret=True)


def remove_device(fleet: SmallFleet, visitor: Visitor) -> Form:
    user = make_user("reader", fleet.project)
    give_device(user)
    return Form(f"/admin/servers/user/{user.pk}/second-factor/", {}, {"x": "y"})


SCENES: list[Callable[[SmallFleet, Visitor], Form]] = [
    act,
    act_on_many,
    restore,
    remove_image,
    switch_host,
    judge,
    write_plan,
    make_credential,
    delete_credential,
    add_domain,
    own_device,
    remove_device,
]
every_form = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)


def everything() -> list[Any]:
    """Return what forms change."""
    records = list(ActionRecord.objects.order_by("pk").values("pk", "status", "judgements"))
    devices = list(SecondFactor.objects.order_by("pk").values())
    return [*rows(), records, Domain.objects.count(), devices]


@every_form
def test_a_form_that_is_sent_again_goes_where_the_first_went_and_acts_once(
    scene: Any, fleet: SmallFleet, operator: Visitor
) -> None:
    form = scene(fleet, operator)
    first = form.send(operator)
    assert first.status_code in {200, 302, 303}
    before = everything()
    repeat = form.send(operator)
    assert everything() == before
    if form.secret:
        said = re.search(r"has made (application credential robot|a second factor)", words(repeat))
        assert (repeat.status_code, said is not None) == (409, True)
    else:
        assert (repeat.status_code, repeat["Location"]) == (first.status_code, first["Location"])


@every_form
def test_a_form_that_was_changed_after_it_was_sent_is_shown_again(
    scene: Any, fleet: SmallFleet, operator: Visitor
) -> None:
    form = scene(fleet, operator)
    form.send(operator)
    before = everything()
    other = form.send(operator, **form.other)
    assert everything() == before
    assert other.status_code in {422, 303, 302, 404}
    if other.status_code == 422:
        assert "This form was sent before with other values" in words(other)


def test_a_changed_form_keeps_what_was_filled_in_and_gets_a_new_key(
    fleet: SmallFleet, operator: Visitor
) -> None:
    form = act(fleet, operator)
    form.send(operator)
    Server.objects.update(task_state="")
    page = form.send(operator, name="weekly")
    assert page.status_code == 422
    assert 'value="weekly"' in page.content.decode()
    (key,) = KEY.findall(page.content.decode())
    assert key != form.key


@every_form
def test_a_form_that_is_still_carried_out_is_not_begun_again(
    scene: Any, fleet: SmallFleet, operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, seen = scene(fleet, operator), []
    real = Claim.__enter__

    def enter(self: Claim) -> Claim:
        if not seen:
            seen.append(None)
            seen[0] = form.send(operator)
        return real(self)

    monkeypatch.setattr(Claim, "__enter__", enter)
    form.send(operator)
    page: Any = seen[0]
    assert (page.status_code, "is still being carried out" in words(page)) == (409, True)


def test_a_form_that_was_refused_is_judged_anew(fleet: SmallFleet, operator: Visitor) -> None:
    form = act(fleet, operator)
    Server.objects.update(task_state="migrating")
    form.send(operator)
    assert not ActionRecord.objects.exists()
    assert not IdempotencyKey.objects.exists()
    Server.objects.update(task_state="")
    assert form.send(operator).status_code == 303


def test_a_form_on_many_servers_that_died_in_mid_way_acts_once_on_each(
    fleet: SmallFleet, operator: Visitor, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    servers = [fleet.add_server(name) for name in ("web", "mail")]
    page = bulk.bulk_url(registry["inject-network-info"], [s.pk for s in servers])
    form = Form(page, {}, {})

    class Died(BaseException):
        """The process has ended."""

    real, asked = bulk.hand_in_one, []

    def one(*args: Any) -> Any:
        if asked:
            raise Died
        asked.append(real(*args))
        return asked[0]

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "hand_in_one", one)
        with pytest.raises(Died):
            form.send(operator)
    assert form.send(operator).status_code == 303
    assert sorted(ActionRecord.objects.values_list("server__name", flat=True)) == ["mail", "web"]


def test_a_preview_claims_nothing(fleet: SmallFleet, operator: Visitor) -> None:
    assert act(fleet, operator).send(operator, preview="1").status_code == 200
    assert not IdempotencyKey.objects.exists()


def test_an_answer_is_kept_in_the_transaction_that_accepts(
    fleet: SmallFleet, operator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = act(fleet, operator)

    def dies(request: HttpRequest, *args: Any) -> SeeOther:
        raise RuntimeError("after it was accepted")

    with monkeypatch.context() as patch:
        patch.setattr("servers.admin.action_form_view.messages.success", dies)
        operator.client.raise_request_exception = False
        assert form.send(operator).status_code == 500
    assert form.send(operator).status_code == 303
    assert ActionRecord.objects.count() == 1


def test_the_folder_of_templates_is_where_it_was_looked_for() -> None:
    assert len(form_tags()) >= 9
    assert Path(TEMPLATES / "admin" / "servers" / "action_form.html").is_file()
