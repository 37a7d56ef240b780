"""Whichever way somebody says a secret, it is refused for the same reasons, in the same words, and for as long."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from servers import clock
from servers.clock import VirtualClock
from servers.logins.hashing import KNOWN, STRANGERS
from servers.models import KnownAddress, LoginFailures, Token, User
from servers.supervisor.retention import prune
from tests.logins.doors import DOORS, HERE, RIGHT, WRONG, Door

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("door", DOORS.values(), ids=list(DOORS))]
ELSEWHERE = "198.51.100.7"
COOLOFF_S = 300
LOCKED = "There were too many failed logins; try again in 5 minutes."


@pytest.fixture(autouse=True)
def small_limits(settings: Any) -> None:
    settings.LOGIN_FAILURES_LIMIT = 3
    settings.LOGIN_ADDRESS_LIMIT = 8
    settings.LOGIN_NAMES_LIMIT = 5
    settings.LOGIN_TOTAL_LIMIT = 12


def fill(of: str, door: Door, failures: int = 100, names: int = 0, address: str = HERE) -> None:
    """Let a row be full, for the next five minutes."""
    name = door.counts_as.format(name="anna") if of == "pair" else ""
    LoginFailures.objects.create(
        of=of,
        name=name,
        address="" if of == "all" else address,
        failures=failures,
        names=names,
        ends_at=clock.now() + timedelta(seconds=COOLOFF_S),
    )


FULL: dict[str, dict[str, Any]] = {
    "the name from the address": {"of": "pair"},
    "the address": {"of": "address"},
    "names from the address": {"of": "address", "failures": 5, "names": 5},
    "everybody": {"of": "all"},
}


@pytest.mark.parametrize("secret", [RIGHT, WRONG])
@pytest.mark.parametrize("full", FULL.values(), ids=list(FULL))
def test_what_is_full_refuses_unhashed_and_says_for_how_long(
    door: Door, anna: User, hashed: list[str], full: dict[str, Any], secret: str
) -> None:
    fill(door=door, **full)
    said = door(secret)
    assert (said.status, said.text, said.retry_after) == (429, LOCKED, str(COOLOFF_S))
    assert hashed == []


@pytest.mark.parametrize("full", FULL.values(), ids=list(FULL))
def test_tries_while_it_is_full_write_nothing_and_it_ends_when_it_was_said(
    door: Door, anna: User, time: VirtualClock, full: dict[str, Any]
) -> None:
    fill(door=door, **full)
    before = list(LoginFailures.objects.values())
    time.sleep(COOLOFF_S - 10)
    assert {door(secret).retry_after for secret in (RIGHT, WRONG)} == {"10"}
    assert list(LoginFailures.objects.values()) == before
    time.sleep(10)
    assert door(RIGHT).status == 200


def test_failures_of_a_name_from_an_address_fill_its_row_and_nobody_elses(door: Door, anna: User) -> None:
    assert [door().status for _ in range(4)] == [401, 401, 429, 429]
    assert door(RIGHT).status == 429
    assert door(RIGHT, address=ELSEWHERE).status == 200


def test_success_forgets_the_failures_before_it(door: Door, anna: User) -> None:
    for _ in range(3):
        assert [door().status, door().status, door(RIGHT).status] == [401, 401, 200]


def test_failures_of_long_ago_do_not_count(door: Door, anna: User, time: VirtualClock) -> None:
    for _ in range(4):
        assert [door().status, door().status] == [401, 401]
        time.sleep(COOLOFF_S)


def test_many_names_from_one_address_are_soon_refused(door: Door, anna: User, hashed: list[str]) -> None:
    if not door.any_name:
        pytest.skip("here one says no name")
    said = [door(name=f"user-{n}").status for n in range(20)]
    assert said == [401] * 4 + [429] * 16
    assert len(hashed) == 5
    assert door(RIGHT).status == 429
    assert door(RIGHT, address=ELSEWHERE).status == 200


def test_many_addresses_are_refused_but_those_from_which_people_log_in(
    door: Door, anna: User, hashed: list[str]
) -> None:
    assert door(RIGHT, address=ELSEWHERE).status == 200
    hashed.clear()
    for n in range(40):
        DOORS["password by REST"](name=f"user-{n}", address=f"203.0.113.{n}")
    assert len(hashed) == 12
    assert door(RIGHT, address="203.0.113.99").status == 429
    assert door(RIGHT, address=ELSEWHERE).status == 200
    assert [door(address=ELSEWHERE).status for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_this_machine_itself_is_known(door: Door, anna: User, address: str) -> None:
    fill("all", door)
    assert door(RIGHT, address=address).status == 200


def test_address_from_which_nobody_has_logged_in_for_long_is_not_known(
    door: Door, anna: User, time: VirtualClock
) -> None:
    KnownAddress.objects.create(address=HERE, seen_at=clock.now())
    time.sleep(31 * 24 * 3600)
    fill("all", door)
    assert door(RIGHT).status == 429


def test_names_without_number_leave_few_rows_and_in_time_none(
    door: Door, anna: User, time: VirtualClock
) -> None:
    for n in range(60):
        DOORS["password by REST"](name=f"user-{n}", address=f"203.0.113.{n % 50}")
    door()
    assert LoginFailures.objects.count() <= 2 * 12 + 2
    time.sleep(COOLOFF_S + 1)
    prune()
    assert not LoginFailures.objects.exists()


@pytest.mark.parametrize("is_known", [True, False])
def test_when_all_places_of_its_kind_are_taken_it_is_refused_unhashed(
    door: Door, anna: User, hashed: list[str], settings: Any, is_known: bool
) -> None:
    KnownAddress.objects.create(address=ELSEWHERE, seen_at=clock.now())
    there, other = (ELSEWHERE, HERE) if is_known else (HERE, ELSEWHERE)
    with ExitStack() as stack:
        for _ in range(settings.LOGIN_QUEUE + 1):
            stack.enter_context((KNOWN if is_known else STRANGERS).place())
        said = door(RIGHT, address=there)
        assert hashed == []
        assert door(RIGHT, address=other).status == 200
    assert (said.status, said.retry_after) == (503, "5")
    assert said.text == "Too many people log in at this moment; try again in a few seconds."
    assert door(RIGHT, address=there).status == 200


def test_one_secret_is_hashed_whoever_is_named(door: Door, anna: User, hashed: list[str]) -> None:
    door()
    if door.any_name:
        door(name="nobody")
    assert len(hashed) == 1 + door.any_name


def test_right_secret_of_somebody_who_may_not_log_in_is_a_failure(door: Door, anna: User) -> None:
    User.objects.update(is_active=False)
    assert [door(RIGHT).status for _ in range(3)] == [401, 401, 429]


def test_right_secret_in_a_domain_that_is_disabled_is_a_failure(door: Door, anna: User) -> None:
    anna.domain.enabled = False
    anna.domain.save()
    assert [door(RIGHT).status for _ in range(3)] == [401, 401, 429]


def test_neighbours_in_one_network_of_ipv6_count_as_one(door: Door, anna: User) -> None:
    said = [door(address=f"2001:db8:0:1::{n}").status for n in range(4)]
    assert said == [401, 401, 429, 429]
    assert door(RIGHT, address="2001:db8:0:2::1").status == 200


def test_tokens_and_sessions_of_a_name_that_is_refused_go_on(door: Door, anna: User) -> None:
    token, secret = Token.issue(anna, 3600)
    browser = Client()
    browser.force_login(anna)
    fill("pair", door)
    assert door(RIGHT).status == 429
    ask = {"X-Auth-Token": secret, "X-Subject-Token": secret}
    assert browser.get("/identity/v3/auth/tokens", headers=ask).status_code == 200
    assert browser.get("/admin/").status_code == 200
    assert Token.find(secret) == token


def test_hash_that_is_outdated_is_made_anew_at_a_login(door: Door, anna: User, settings: Any) -> None:
    if "credential" in door.counts_as:
        pytest.skip("a credential keeps the hash that it was made with")
    settings.PASSWORD_HASHERS = ["tests.logins.doors.Stronger", *settings.PASSWORD_HASHERS]
    assert door(RIGHT).status == 200
    kept = User.objects.get(pk=anna.pk).password
    assert kept.startswith("stronger$") and door(RIGHT).status == 200
    assert User.objects.get(pk=anna.pk).password == kept
