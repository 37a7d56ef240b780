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
from servers.logins.hashing import LANE, NICE, InLane, Lane

ENOUGH_S = 10
CLIENTS = 20


class Slow(InLane, MD5PasswordHasher):
    """A hash that takes as long as a test lets it; it is known how many are made at a time."""

    may_end = threading.Event()
    guard = threading.Lock()
    threads: list[str] = []
    at_once = most_at_once = 0

    def encode(self, *args: Any, **given: Any) -> str:
        return LANE.run(self.hash, *args)

    def hash(self, *args: Any) -> str:
        with self.guard:
            Slow.at_once += 1
            Slow.most_at_once = max(self.most_at_once, self.at_once)
            self.threads.append(threading.current_thread().name)
        assert self.may_end.wait(ENOUGH_S)
        with self.guard:
            Slow.at_once -= 1
        return MD5PasswordHasher.encode(self, *args)


@pytest.fixture
def slow(settings: Any) -> type[Slow]:
    settings.PASSWORD_HASHERS = ["tests.logins.test_hashing.Slow"]
    Slow.may_end.clear()
    Slow.threads.clear()
    Slow.most_at_once = 0
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
    assert slow.most_at_once == 1 and len(set(slow.threads)) == 1


def test_whoever_hashes_does_so_in_the_lane(slow: type[Slow]) -> None:
    slow.may_end.set()
    verify_password("guess", make_password("secret"))
    assert len(slow.threads) == 2 and {name.partition("_")[0] for name in slow.threads} == {"hashing"}


def test_hasher_in_force_is_in_the_lane_and_knows_what_was_hashed_before(settings: Any) -> None:
    settings.PASSWORD_HASHERS = configured.PASSWORD_HASHERS
    before = PBKDF2PasswordHasher().encode("secret", "salt", iterations=1)
    assert [isinstance(hasher, InLane) for hasher in get_hashers()] == [True]
    assert verify_password("secret", before) == (True, True)  # right, and to be hashed anew


def test_hashing_goes_on_after_a_failure() -> None:
    lane = Lane()
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 / 0)
    assert lane.run(lambda: "made") == "made"


def test_place_is_given_back_whatever_happens(settings: Any) -> None:
    settings.LOGIN_QUEUE = 0
    lane = Lane()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), lane.place(is_known=False):
            1 / 0  # noqa: B018
    with lane.place(is_known=False), pytest.raises(LoginsBusy), lane.place(is_known=False):
        pass


def test_lane_lets_every_other_thread_go_first() -> None:
    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = nice()
    assert Lane().run(nice) == min(before, 0) + NICE if before <= 0 else NICE
    assert nice() == before


def test_process_that_is_forked_has_a_lane_of_its_own() -> None:
    LANE.run(str)
    child = os.fork()
    if child == 0:
        os._exit(0 if LANE.run(lambda: 7) == 7 else 1)
    assert os.waitpid(child, 0)[1] == 0
