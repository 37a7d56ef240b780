"""What is refused after too many failed logins is listed, and can be lifted, at a shell of the machine."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from servers import clock
from servers.logins import second_factor
from servers.models import LoginFailures, SecondFactor, User
from tests.factories import make_domain
from tests.logins.devices import give_device

pytestmark = pytest.mark.django_db
ROWS = (("pair", "anna"), ("pair", "bert"), ("address", ""), ("all", ""))
ADDRESS = "2001:db8:0:1::/64"


@pytest.fixture(autouse=True)
def full() -> None:
    """Let all rows be full."""
    for number, (of, name) in enumerate(ROWS):
        address = "" if of == "all" else ADDRESS
        ends_at = clock.now() + timedelta(seconds=100 + number)
        LoginFailures.objects.create(of=of, name=name, address=address, failures=1000, ends_at=ends_at)


def logins(*words: str) -> str:
    out = StringIO()
    call_command("logins", *words, stdout=out)
    return out.getvalue()


def left() -> list[tuple[str, str]]:
    return [(row.of, row.name) for row in LoginFailures.objects.order_by("pk")]


def test_what_is_refused_is_listed_until_when() -> None:
    lines = logins().splitlines()
    assert [line.split("  ")[0].strip() for line in lines[1:]] == [
        "addresses that are not known",
        "an address",
        "a name from an address",
        "a name from an address",
    ]
    assert all(word in lines[-1] for word in ("anna", ADDRESS, "1000"))


def test_what_is_over_or_not_yet_full_is_not_listed() -> None:
    LoginFailures.objects.filter(of="pair").update(ends_at=clock.now())
    LoginFailures.objects.exclude(of="pair").update(failures=1)
    assert logins() == "No login is refused because of failures.\n"


def test_line_of_a_name_is_one_line() -> None:
    LoginFailures.objects.filter(name="bert").update(name="bert\n\x1b[31m")
    assert "\x1b" not in logins()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--unlock", "anna"], [ROWS[1], ROWS[2], ROWS[3]]),
        (["--unlock-address", "2001:db8:0:1::7"], [ROWS[3]]),
        (["--unlock-all"], []),
    ],
)
def test_what_is_named_is_unlocked_and_nothing_else(
    words: list[str], expected: list[tuple[str, str]]
) -> None:
    assert logins(*words) == "Unlocked.\n"
    assert left() == expected


@pytest.mark.parametrize("words", [["--unlock", "nobody"], ["--unlock-address", "192.0.2.1"]])
def test_what_has_not_failed_is_said(words: list[str]) -> None:
    with pytest.raises(CommandError, match="No login has failed there lately") as refused:
        logins(*words)
    assert refused.value.returncode == 4
    assert left() == list(ROWS)


def test_wrong_codes_of_a_name_are_unlocked_with_its_passwords() -> None:
    LoginFailures.objects.filter(name="bert").update(name=second_factor.counted_as("anna"))
    assert logins("--unlock", "anna") == "Unlocked.\n"
    assert [of for of, _ in left()] == ["address", "all"]


def test_a_second_factor_that_was_lost_is_removed_by_name() -> None:
    give_device(User.objects.create_user("anna", "secret", domain=make_domain()))
    assert logins("--remove-second-factor", "anna") == "Removed.\n"
    assert not SecondFactor.objects.exists()
    for name in ("anna", "nobody"):
        with pytest.raises(CommandError, match=f"no second factor of a user {name}") as refused:
            logins("--remove-second-factor", name)
        assert refused.value.returncode == 4
