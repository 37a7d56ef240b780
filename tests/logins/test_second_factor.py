"""A code is good once and soon over, wrong ones are counted, and what is kept of it tells nobody a code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory

from servers import clock
from servers.clock import VirtualClock
from servers.errors import TooManyFailedLogins
from servers.logins import limits, second_factor
from servers.logins.checking import check_password
from servers.logins.second_factor import Step, after_password, check_code
from servers.models import KnownAddress, LoginFailures, SecondFactor, Token, User
from tests.logins.devices import STEP_S, Device, give_device
from tests.logins.doors import HERE, RIGHT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def on(settings: Any) -> None:
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def device(anna: User) -> Device:
    return give_device(anna)


def says(user: User, code: str, address: str = HERE) -> bool:
    """Return whether a code is accepted that is said from an address."""
    return check_code(RequestFactory(REMOTE_ADDR=address).post("/"), user, code)


def test_a_code_is_good_once(anna: User, device: Device) -> None:
    code = device.code()
    assert says(anna, code)
    assert not says(anna, code)


def test_no_code_of_an_earlier_step_is_good_after_a_later_one(anna: User, device: Device) -> None:
    early, late = device.code(), device.code(1)
    assert says(anna, late)
    assert not says(anna, early)


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_one_step_early_or_late(
    anna: User, device: Device, time: VirtualClock, steps: int, is_good: bool
) -> None:
    time.sleep(10 * STEP_S)
    assert says(anna, device.code(steps)) is is_good


@pytest.mark.parametrize("form", ["{a} {b}", " {a}{b} ", "{a}-{b}"])
def test_a_code_may_be_typed_with_gaps(anna: User, device: Device, form: str) -> None:
    code = device.code()
    assert says(anna, form.format(a=code[:3], b=code[3:]))


@pytest.mark.parametrize(
    "text", ["", "12345", "1234567", "١٢٣٤٥٦", "abcdef", "-12345", "0x1234", "\0", "9" * 500]
)
def test_what_is_no_code_is_refused(anna: User, device: Device, text: str) -> None:
    assert not says(anna, text)


def test_a_recovery_code_is_good_once_whatever_its_capitals(anna: User, device: Device) -> None:
    first, second = device.recovery[:2]
    assert len(set(device.recovery)) == second_factor.RECOVERY_CODES
    assert says(anna, first.upper().replace("-", " "))
    assert not says(anna, first)
    assert says(anna, second)


def test_new_recovery_codes_make_the_old_ones_worthless(anna: User, device: Device) -> None:
    fresh = second_factor.renew_codes(anna)
    assert not says(anna, device.recovery[0])
    assert says(anna, fresh[0])


def test_neither_key_nor_recovery_codes_stand_in_the_database(anna: User, device: Device) -> None:
    row = str(SecondFactor.objects.values().get())
    texts = [second_factor.as_text(device.key), device.key.hex(), *device.recovery]
    assert not [text for text in texts if text in row or text.replace("-", "") in row]


def test_with_another_secret_key_recovery_codes_alone_are_good(
    anna: User, device: Device, settings: Any
) -> None:
    settings.SECRET_KEY = "another one"
    assert not says(anna, device.code())
    assert says(anna, device.recovery[0])


def test_a_device_of_somebody_else_is_no_use(anna: User, device: Device) -> None:
    eva = User.objects.create_user("eva", RIGHT)
    assert not says(eva, device.code())
    other = give_device(eva)
    assert not says(anna, other.code())


def test_wrong_codes_fill_a_row_of_their_own_that_no_password_empties(
    anna: User, device: Device, settings: Any
) -> None:
    settings.LOGIN_FAILURES_LIMIT = 3
    request = RequestFactory(REMOTE_ADDR=HERE).post("/")
    for _ in range(2):
        assert not says(anna, device.wrong())
        assert check_password(request, "anna", anna, RIGHT)
    with pytest.raises(TooManyFailedLogins):
        says(anna, device.wrong())
    with pytest.raises(TooManyFailedLogins):
        says(anna, device.code())
    assert check_password(request, "anna", anna, RIGHT), "the password of others, and his own, is looked at"
    assert says(anna, device.code(), address="198.51.100.7")


def test_a_right_code_forgets_the_wrong_ones_before_it(
    anna: User, device: Device, time: VirtualClock
) -> None:
    for _ in range(20):
        time.sleep(STEP_S)
        assert not says(anna, device.wrong())
        assert says(anna, device.code())


def test_after_a_hundred_wrong_codes_from_wherever_a_recovery_code_alone_is_good(
    anna: User, device: Device, time: VirtualClock
) -> None:
    SecondFactor.objects.update(failures=second_factor.MOST_FAILURES - 1)
    assert not says(anna, device.wrong(), address="203.0.113.1")
    assert not says(anna, device.code())
    assert says(anna, device.recovery[0])
    time.sleep(STEP_S)
    assert says(anna, device.code())


def test_an_address_is_known_when_all_was_right_and_not_when_the_password_was(
    anna: User, device: Device
) -> None:
    request = RequestFactory(REMOTE_ADDR=HERE).post("/")
    assert check_password(request, "anna", anna, RIGHT)
    assert not KnownAddress.objects.exists()
    assert says(anna, device.code())
    assert KnownAddress.objects.filter(address=HERE).exists()


def test_switching_it_on_or_off_ends_tokens_and_leaves_credentials(anna: User) -> None:
    for turn in (lambda: give_device(anna), lambda: second_factor.switch_off(anna)):
        _, secret = Token.issue(User.objects.select_related("domain").get(pk=anna.pk), 3600)
        assert Token.find(secret)
        turn()
        assert not Token.find(secret)
    assert anna.application_credentials.count() == 1


def test_a_second_device_takes_nobodys_place(anna: User, device: Device) -> None:
    other = Device()
    assert second_factor.switch_on(anna, other.key, 0) == []
    assert says(anna, device.code())


@pytest.mark.parametrize(
    ("setting", "without", "with_device"),
    [
        ("off", Step.NONE, Step.NONE),
        ("optional", Step.NONE, Step.CODE),
        ("required", Step.SETUP, Step.CODE),
    ],
)
def test_the_setting_says_what_follows_a_password(
    anna: User, settings: Any, setting: str, without: Step, with_device: Step
) -> None:
    settings.SECOND_FACTOR = setting
    assert after_password(anna) is without
    give_device(anna)
    assert after_password(anna) is with_device


def test_a_long_name_is_counted_as_long_as_a_row_keeps(anna: User, device: Device) -> None:
    anna.name = "a" * limits.MAX_NAME
    anna.save()
    assert not says(anna, device.wrong())
    assert LoginFailures.objects.get(of="pair").name.startswith("second factor of aaa")


def test_what_an_authenticator_reads_has_the_key_and_whose_it_is(anna: User, settings: Any) -> None:
    settings.PUBLIC_URL = "https://gantry.example.org/x"
    anna.name = "anna & co"
    address = second_factor.address_for(anna, b"\0" * 20)
    assert address == (
        "otpauth://totp/Gantry%20gantry.example.org%3Aanna%20%26%20co"
        f"?secret={'A' * 32}&issuer=Gantry%20gantry.example.org"
    )
    assert clock.now() - SecondFactor(user=anna).made_at < timedelta(minutes=1)
