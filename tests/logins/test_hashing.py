"""Hashes are made one at a time, in a thread that lets everybody else go first, and few logins wait for theirs."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import (
    MD5PasswordHasher,
    PBKDF2PasswordHasher,
    get_hashers,
    make_password,
    verify_password,
)

from project import settings as configured
from servers.errors import LoginsBusy
from servers.logins import checking
from servers.logins.hashing import KNOWN, NICE, STRANGERS, InLane, Lane

ENOUGH_S = 10
CLIENTS = 20


class Held(MD5PasswordHasher):
    """A hash that takes as long as a test lets it; it is known how many are made at a time, and in which threads."""

    may_end = threading.Event()
    guard = threading.Lock()
    threads: list[str] = []
    at_once = most_at_once = 0

    def encode(self, *args: Any, **given: Any) -> str:
        with self.guard:
            Held.at_once += 1
            Held.most_at_once = max(self.most_at_once, self.at_once)
            self.threads.append(threading.current_thread().name)
        assert self.may_end.wait(ENOUGH_S)
        with self.guard:
            Held.at_once -= 1
        return str(super().encode(*args, **given))


class Slow(InLane, Held):
    """The same, in a lane."""


@pytest.fixture
def slow(settings: Any) -> type[Slow]:
    settings.PASSWORD_HASHERS = ["tests.logins.test_hashing.Slow"]
    Slow.may_end.clear()
    Slow.threads.clear()
    Held.most_at_once = 0
    return Slow


def test_of_twenty_logins_at_once_five_wait_and_the_others_are_refused_at_once(
    slow: type[Slow], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("require_allowed", "failed", "is_known"):
        monkeypatch.setattr(checking.limits, name, lambda about: None)
    refused = threading.Semaphore(0)

    def log_in(number: int) -> str:
        try:
            checking.check_secret(None, f"user-{number}", None, "guess", may_log_in=False)
        except LoginsBusy:
            refused.release()
            return "refused"
        return "checked"

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [clients.submit(log_in, number) for number in range(CLIENTS)]
        at_once = [refused.acquire(timeout=ENOUGH_S) for _ in range(CLIENTS - settings.LOGIN_QUEUE - 1)]
        slow.may_end.set()
        said = [answer.result(ENOUGH_S) for answer in answers]
    assert all(at_once)
    assert said.count("checked") == settings.LOGIN_QUEUE + 1 == len(slow.threads)
    assert slow.most_at_once == 1 and set(slow.threads) == {"hashing-for-strangers_0"}


def test_whoever_hashes_does_so_in_a_lane_and_waits_for_no_stranger(slow: type[Slow]) -> None:
    slow.may_end.set()
    verify_password("guess", make_password("secret"))
    assert slow.threads == ["hashing_0", "hashing_0"]


def test_hasher_in_force_is_in_the_lane_and_knows_what_was_hashed_before(settings: Any) -> None:
    settings.PASSWORD_HASHERS = configured.PASSWORD_HASHERS
    before = PBKDF2PasswordHasher().encode("secret", "salt", iterations=1)
    assert [isinstance(hasher, InLane) for hasher in get_hashers()] == [True]
    assert verify_password("secret", before) == (True, True)  # right, and to be hashed anew


def test_hashing_goes_on_after_a_failure() -> None:
    lane = Lane("hashing")
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 / 0)
    assert lane.run(lambda: "made") == "made"


def test_place_is_given_back_whatever_happens(settings: Any) -> None:
    settings.LOGIN_QUEUE = 0
    lane = Lane("hashing")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), lane.place():
            1 / 0  # noqa: B018
    with lane.place(), pytest.raises(LoginsBusy), lane.place():
        pass


def test_lane_of_strangers_lets_every_other_thread_go_first() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = nice()
    assert (STRANGERS.run(nice), KNOWN.run(nice), nice()) == (min(19, before + NICE), before, before)


def test_login_is_hashed_in_its_own_lane(slow: type[Slow]) -> None:
    slow.may_end.set()
    with STRANGERS.place():
        make_password("secret")
        with KNOWN.place():
            make_password("secret")
        make_password("secret")
    make_password("secret")
    assert [name.removesuffix("_0") for name in slow.threads] == [
        "hashing-for-strangers",
        "hashing",
        "hashing-for-strangers",
        "hashing",
    ]


@pytest.mark.parametrize("lane", [KNOWN, STRANGERS], ids=lambda lane: lane.name)
def test_process_that_is_forked_has_lanes_of_its_own(lane: Lane) -> None:
    lane.run(str)
    child = os.fork()
    if child == 0:
        os._exit(0 if lane.run(lambda: 7) == 7 else 1)
    assert os.waitpid(child, 0)[1] == 0
