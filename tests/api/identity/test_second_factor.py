"""Whoever has a second factor gets a token by password and code together, as Keystone's clients say it, and by no password alone."""

from __future__ import annotations

from typing import Any

import pytest

from servers.models import ApplicationCredential, LoginFailures, Token, User
from tests.api.identity.logging_in import PROJECT_BY_NAME, by_credential, by_token, login, password, subject
from tests.factories import make_domain
from tests.logins.devices import Device, give_device

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def device(anna: User) -> Device:
    return give_device(anna)


def both(code: str, name: str = "anna", order: tuple[str, ...] = ("password", "totp"), **given: Any) -> Any:
    """Return an identity proven by password and code, as keystoneauth's v3multifactor sends it."""
    who = {"name": name, "domain": {"name": "Default"}, "passcode": code}
    return {**password(**given), "methods": list(order), "totp": {"user": who}}


@pytest.mark.parametrize("order", [("password", "totp"), ("totp", "password")])
def test_password_and_code_together_give_a_token_that_says_so(device: Device, order: tuple[str, ...]) -> None:
    answer = login(both(device.code(), order=order), PROJECT_BY_NAME)
    subject(answer)
    assert answer.json()["token"]["methods"] == ["password", "totp"]


def test_a_user_may_be_named_by_id(anna: User, device: Device) -> None:
    identity = both(device.code())
    identity["totp"]["user"] = {"id": anna.pk, "passcode": device.code()}
    subject(login(identity, PROJECT_BY_NAME))


def test_the_password_alone_is_refused_like_a_wrong_one_and_counted(device: Device) -> None:
    right, wrong = login(password(), PROJECT_BY_NAME), login(password(secret="wrong"), PROJECT_BY_NAME)
    assert right.status_code == wrong.status_code == 401
    assert right.json() == wrong.json()
    assert LoginFailures.objects.get(of="pair", name="anna").failures == 2
    assert not Token.objects.exists()


def test_neither_a_wrong_password_nor_a_wrong_code_nor_a_used_one_gives_a_token(device: Device) -> None:
    code = device.code()
    assert login(both(code, secret="wrong"), PROJECT_BY_NAME).status_code == 401
    assert login(both(device.wrong()), PROJECT_BY_NAME).status_code == 401
    subject(login(both(code), PROJECT_BY_NAME))
    assert login(both(code), PROJECT_BY_NAME).status_code == 401


def test_a_code_of_somebody_else_is_no_use(anna: User, device: Device) -> None:
    eva = User.objects.create_user("eva", "secret", domain=make_domain())
    others = give_device(eva)
    assert login(both(others.code(), name="eva"), PROJECT_BY_NAME).status_code == 401
    assert login(both(others.code()), PROJECT_BY_NAME).status_code == 401


def test_a_code_alone_is_no_way_in(device: Device) -> None:
    identity = both(device.code())
    del identity["password"]
    assert login({**identity, "methods": ["totp"]}, PROJECT_BY_NAME).status_code == 400
    assert login(identity, PROJECT_BY_NAME).status_code == 400


@pytest.mark.parametrize("methods", [["password", "token"], ["password", "password"], [], ["totp", "totp"]])
def test_other_methods_together_are_no_way_in(device: Device, methods: list[str]) -> None:
    assert login({**both(device.code()), "methods": methods}, PROJECT_BY_NAME).status_code == 400


def test_whoever_has_none_has_no_right_code(anna: User) -> None:
    subject(login(password(), PROJECT_BY_NAME))
    assert login(both("123456"), PROJECT_BY_NAME).status_code == 401


def test_where_everybody_must_have_one_no_password_alone_gives_a_token(anna: User, settings: Any) -> None:
    settings.SECOND_FACTOR = "required"
    assert login(password(), PROJECT_BY_NAME).status_code == 401
    subject(login(both(give_device(anna).code()), PROJECT_BY_NAME))


def test_where_it_is_off_a_device_is_not_asked_for(device: Device, settings: Any) -> None:
    settings.SECOND_FACTOR = "off"
    subject(login(password(), PROJECT_BY_NAME))


def test_too_many_wrong_codes_are_429(device: Device, settings: Any) -> None:
    settings.LOGIN_FAILURES_LIMIT = 2
    said = [login(both(device.wrong()), PROJECT_BY_NAME).status_code for _ in range(3)]
    assert said == [401, 429, 429]


def test_a_credential_and_a_token_that_one_has_need_no_code(anna: User, device: Device, shop: Any) -> None:
    made = ApplicationCredential(name="cron", user=anna, project=shop, roles=["reader"])
    secret = made.set_secret()
    made.save()
    subject(login(by_credential(id=made.pk, secret=secret)))
    token = subject(login(both(device.code()), PROJECT_BY_NAME))
    answer = login(by_token(token), PROJECT_BY_NAME)
    subject(answer)
    assert answer.json()["token"]["methods"] == ["password", "totp", "token"]
