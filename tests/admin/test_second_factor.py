"""The console asks for a code after the password, and everybody sets up, renews and switches off his own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from servers import clock
from servers.clock import VirtualClock
from servers.models import KnownAddress, LoginFailures, Project, SecondFactor, User
from tests.admin.visiting import Visitor, page_of, words
from tests.factories import make_user
from tests.logins.devices import STEP_S, Device, give_device

pytestmark = pytest.mark.django_db
HOME = "/admin/"
LOGIN = "/admin/login/"
STEP = "/admin/login/second-factor/"
OWN = "/admin/second-factor/"
RIGHT = "the right password"
INLINE = re.compile(r"<style|<script(?![^>]*src=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.fixture(autouse=True)
def time() -> Iterator[VirtualClock]:
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        yield virtual


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def anna(project: Project) -> User:
    user = make_user("manager", project, name="anna", default_project=project)
    user.set_password(RIGHT)
    user.save()
    return user


@pytest.fixture
def device(anna: User) -> Device:
    return give_device(anna)


def with_password(client: Client | None = None, onward: str = HOME) -> tuple[Client, Any]:
    """Return the client of somebody who has given his password, and the answer."""
    client = client or Client()
    answer = client.post(LOGIN, {"username": "anna", "password": RIGHT, "next": onward})
    return client, answer


def is_in(client: Client) -> bool:
    """Return whether somebody is let in to the console."""
    return client.get(HOME).status_code == 200


def test_after_the_password_a_code_is_asked_for_and_then_one_is_where_one_wanted_to_go(
    device: Device,
) -> None:
    client, answer = with_password(onward="/admin/servers/server/")
    assert (answer.status_code, answer["Location"]) == (302, STEP)
    assert "authenticator" in words(client.get(STEP))
    answer = client.post(STEP, {"code": device.code()})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/servers/server/")
    assert is_in(client)


def test_until_the_code_is_right_the_session_is_nobodys(anna: User, device: Device) -> None:
    client, _ = with_password()
    assert not is_in(client)
    assert client.get(OWN)["Location"].startswith(LOGIN)
    assert client.post("/admin/password_change/", {"old_password": RIGHT})["Location"].startswith(LOGIN)
    assert client.get("/v2.1/servers").status_code == 401
    answer = client.post(STEP, {"code": device.wrong()})
    assert answer.status_code == 200 and "code is wrong" in words(answer)
    assert not is_in(client)


def test_whoever_has_given_no_password_is_sent_to_the_login(device: Device) -> None:
    client = Client()
    assert client.get(STEP)["Location"] == LOGIN
    assert client.post(STEP, {"code": device.code()})["Location"] == LOGIN
    assert not is_in(client)


def test_the_code_has_to_follow_soon(device: Device, time: VirtualClock) -> None:
    client, _ = with_password()
    time.sleep(601)
    assert client.post(STEP, {"code": device.code()})["Location"] == LOGIN


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"password": "!"}])
def test_what_ends_a_session_ends_a_login_that_is_half_done(
    anna: User, device: Device, change: dict[str, Any]
) -> None:
    client, _ = with_password()
    User.objects.filter(pk=anna.pk).update(**change)
    assert client.post(STEP, {"code": device.code()})["Location"] == LOGIN
    assert not is_in(client)


def test_too_many_wrong_codes_are_refused_on_the_page_for_as_long_as_wrong_passwords(
    anna: User, device: Device, settings: Any
) -> None:
    settings.LOGIN_FAILURES_LIMIT = 3
    client, _ = with_password()
    answers = [client.post(STEP, {"code": device.wrong()}) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 429, 429]
    assert answers[-1]["Retry-After"] == "300"
    assert "try again in 5 minutes" in words(answers[-1])
    assert client.post(STEP, {"code": device.code()}).status_code == 429


def test_a_recovery_code_lets_in_as_well(device: Device) -> None:
    client, _ = with_password()
    client.post(STEP, {"code": device.recovery[0]})
    assert is_in(client)


def test_the_session_that_knew_the_password_is_not_the_one_that_is_let_in(device: Device) -> None:
    client = Client()
    client.get(HOME)
    _, _ = with_password(client)
    half = client.cookies["sessionid"].value
    client.post(STEP, {"code": device.code()})
    assert client.cookies["sessionid"].value != half
    assert not Session.objects.filter(pk=half).exists()


@pytest.mark.parametrize("setting", ["off", "optional"])
def test_whoever_has_none_logs_in_with_the_password(anna: User, settings: Any, setting: str) -> None:
    settings.SECOND_FACTOR = setting
    client, answer = with_password()
    assert answer["Location"] == HOME and is_in(client)


def test_where_it_is_off_there_is_no_page_and_no_link(operator: Visitor, settings: Any) -> None:
    assert OWN in operator.get(HOME).content.decode()
    settings.SECOND_FACTOR = "off"
    assert OWN not in operator.get(HOME).content.decode()
    assert operator.get(OWN).status_code == 404


# ------------------------------------------------------------------------------------------- setting up


def device_on(answer: Any) -> Device:
    """Return a device into which the key of a page was typed."""
    page = answer.content.decode()
    assert "<svg" in page and not INLINE.search(page.replace("javascript:void", ""))
    found = re.search(r'data-what="key">([A-Z2-7]+)<', page)
    assert found is not None
    return Device.typed(found[1])


def codes_on(answer: Any) -> list[str]:
    """Return the recovery codes that a page shows."""
    return re.findall(r"(?:^|<code>)((?:[a-z2-7]{4}-){3}[a-z2-7]{4})$", answer.content.decode(), re.MULTILINE)


def test_one_sets_it_up_by_password_and_code_and_is_shown_ten_codes_once(anna: User) -> None:
    client, _ = with_password()
    device = device_on(client.get(OWN))
    assert device_on(client.get(OWN)).key == device.key, "looking again changes no picture"
    answer = client.post(OWN, {"old_password": RIGHT, "code": device.code()})
    codes = codes_on(answer)
    assert len(codes) == 10
    assert is_in(client), "the session in which it is set up goes on"
    assert not codes_on(client.get(OWN)) and "10 recovery codes left" in words(client.get(OWN))
    other, answer = with_password()
    assert answer["Location"] == STEP
    other.post(STEP, {"code": codes[3]})
    assert is_in(other)


def test_the_code_that_set_it_up_lets_nobody_in(anna: User) -> None:
    client, _ = with_password()
    device = device_on(client.get(OWN))
    code = device.code()
    client.post(OWN, {"old_password": RIGHT, "code": code})
    other, _ = with_password()
    assert "code is wrong" in words(other.post(STEP, {"code": code}))


@pytest.mark.parametrize("field", ["old_password", "code"])
def test_without_the_password_or_a_code_of_it_nothing_is_set_up(anna: User, field: str) -> None:
    client, _ = with_password()
    device = device_on(client.get(OWN))
    given = {"old_password": RIGHT, "code": device.code(), field: device.wrong()}
    assert client.post(OWN, given).status_code == 200
    assert not SecondFactor.objects.exists()
    assert LoginFailures.objects.exists() is (field == "old_password")


def test_setting_it_up_and_switching_it_off_end_every_other_session(anna: User, time: VirtualClock) -> None:
    client, _ = with_password()
    other, _ = with_password()
    device = device_on(client.get(OWN))
    client.post(OWN, {"old_password": RIGHT, "code": device.code()})
    assert is_in(client) and not is_in(other)
    other, _ = with_password()
    time.sleep(STEP_S)
    other.post(STEP, {"code": device.code()})
    time.sleep(STEP_S)
    assert client.post(OWN, {"code": device.code(), "off": "1"})["Location"] == OWN
    assert not SecondFactor.objects.exists()
    assert is_in(client) and not is_in(other)


def test_new_recovery_codes_take_a_code_and_are_shown_once(
    anna: User, device: Device, time: VirtualClock
) -> None:
    client, _ = with_password()
    client.post(STEP, {"code": device.code()})
    assert codes_on(client.post(OWN, {"code": device.wrong(), "codes": "1"})) == []
    time.sleep(STEP_S)
    fresh = codes_on(client.post(OWN, {"code": device.code(), "codes": "1"}))
    assert len(fresh) == 10 and not set(fresh) & set(device.recovery)


def test_whoever_must_have_one_is_led_to_set_it_up_before_he_is_let_in(anna: User, settings: Any) -> None:
    settings.SECOND_FACTOR = "required"
    client, answer = with_password(onward="/admin/servers/server/")
    assert answer["Location"] == STEP and not is_in(client)
    device = device_on(client.get(STEP))
    assert client.post(STEP, {"code": device.wrong()}).status_code == 200
    assert not SecondFactor.objects.exists() and not is_in(client)
    answer = client.post(STEP, {"code": device.code()})
    assert len(codes_on(answer)) == 10 and 'href="/admin/servers/server/"' in answer.content.decode()
    assert is_in(client)
    assert KnownAddress.objects.exists(), "somebody has logged in from there"


def test_whoever_must_have_one_does_not_switch_it_off(anna: User, device: Device, settings: Any) -> None:
    settings.SECOND_FACTOR = "required"
    client, _ = with_password()
    client.post(STEP, {"code": device.code()})
    assert "Switch off" not in words(client.get(OWN))
    client.post(OWN, {"code": device.recovery[0], "off": "1"})
    assert SecondFactor.objects.exists()


def test_whoever_has_no_password_is_told_who_asks_him(project: Project) -> None:
    user = make_user("reader", project, name="eva", default_project=project)
    user.set_unusable_password()
    user.save()
    assert "sign-on provider" in Visitor(project, user=user).text(OWN)


def test_one_still_changes_his_password(anna: User, device: Device, time: VirtualClock) -> None:
    client, _ = with_password()
    client.post(STEP, {"code": device.code()})
    given = {
        "old_password": RIGHT,
        "new_password1": "another one, longer",
        "new_password2": "another one, longer",
    }
    assert client.post("/admin/password_change/", given).status_code == 302
    assert is_in(client) and SecondFactor.objects.exists()


# ------------------------------------------------------------------------------------------- lost devices


def removal(user: User) -> str:
    """Return the address at which an admin removes a user's second factor."""
    return reverse("admin:servers_user_second_factor", args=[user.pk])


def test_an_admin_removes_the_second_factor_of_somebody_who_has_lost_it(
    anna: User, device: Device, operator: Visitor
) -> None:
    assert removal(anna) in operator.get(page_of(anna)).content.decode()
    assert "Be sure who asks" in operator.text(removal(anna))
    assert SecondFactor.objects.exists(), "a question changes nothing"
    assert operator.post(removal(anna))["Location"] == page_of(anna)
    assert not SecondFactor.objects.exists()
    assert removal(anna) not in operator.get(page_of(anna)).content.decode()
    assert operator.get(removal(anna)).status_code == operator.post(removal(anna)).status_code == 404
    client, _ = with_password()
    assert is_in(client)


def test_nobody_else_does(anna: User, device: Device, project: Project) -> None:
    for role in ("reader", "member", "manager"):
        visitor = Visitor(project, role)
        assert visitor.get(removal(anna)).status_code == visitor.post(removal(anna)).status_code == 403
    assert SecondFactor.objects.exists()


def test_removing_it_ends_the_sessions_that_it_let_in(anna: User, device: Device, operator: Visitor) -> None:
    client, _ = with_password()
    client.post(STEP, {"code": device.code()})
    operator.post(removal(anna))
    assert not is_in(client)


def test_devices_of_long_ago_keep_their_date(anna: User, device: Device) -> None:
    assert clock.now() - SecondFactor.objects.get().made_at < timedelta(seconds=5)
