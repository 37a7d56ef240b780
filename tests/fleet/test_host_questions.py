"""Questions to many hosts: so many at a time, and none that hangs takes anybody's turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from servers.fleet import host_questions
from servers.fleet.host_questions import AT_A_TIME, PER_HOST, Asker, Question

LIMIT_S = 20.0


class Hosts:
    """Hosts that answer when they are let, and count how many of them are asked."""

    def __init__(self) -> None:
        self.asker = Asker()
        self.free = threading.Event()
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.now = self.most = 0

    def answer(self, host: str, takes: Callable[[], object]) -> None:
        with self.lock:
            self.asked.append(host)
            self.now += 1
            self.most = max(self.most, self.now)
        takes()
        with self.lock:
            self.now -= 1

    def ask(
        self, host: str, takes: Callable[[], object], limit_s: float = LIMIT_S, topic: str = "test"
    ) -> Question:
        question = Question(host, topic, partial(self.answer, host, takes), time.monotonic() + limit_s)
        self.asker.put(question)
        return question

    def hang(self) -> None:
        self.free.wait(LIMIT_S)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    yield made
    made.free.set()


def threads_of(topic: str) -> int:
    return sum(thread.name.startswith(f"{topic} ") for thread in threading.enumerate())


def test_no_more_than_so_many_are_asked_at_a_time(hosts: Hosts) -> None:
    questions = [hosts.ask(f"node{number}", lambda: time.sleep(0.02)) for number in range(200)]
    for question in questions:
        hosts.asker.wait(question)
    assert len(hosts.asked) == 200
    assert hosts.most <= AT_A_TIME


def test_hosts_that_hang_keep_no_other_host_waiting(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_questions, "PATIENCE_S", 0.1)
    for number in range(3 * AT_A_TIME):
        hosts.ask(f"dead{number}", hosts.hang)
    began = time.monotonic()
    alive = [hosts.ask(f"node{number}", lambda: None) for number in range(AT_A_TIME)]
    for question in alive:
        hosts.asker.wait(question)
    assert all(question.answered.is_set() for question in alive)
    assert time.monotonic() - began < 5


def test_threads_do_not_pile_up_over_a_host_that_hangs(hosts: Hosts) -> None:
    def look() -> None:
        hosts.asker.wait(hosts.ask("dead", hosts.hang, limit_s=0.2, topic="pile"))

    with ThreadPoolExecutor(4) as viewers:
        for _ in range(40):
            viewers.submit(look)
            time.sleep(0.02)
    assert threads_of("pile") <= PER_HOST
    hosts.free.set()
    until = time.monotonic() + LIMIT_S
    while threads_of("pile") and time.monotonic() < until:
        time.sleep(0.01)
    last = hosts.ask("dead", lambda: None, topic="pile")
    hosts.asker.wait(last)
    assert hosts.asked.count("dead") <= PER_HOST + 1


def test_a_host_that_hangs_over_one_topic_is_asked_about_another(hosts: Hosts) -> None:
    hosts.asker.wait(hosts.ask("node1", hosts.hang, limit_s=0.05, topic="guest"))
    other = hosts.ask("node1", lambda: None, topic="heartbeat")
    hosts.asker.wait(other)
    assert hosts.asked == ["node1", "node1"]


def test_nothing_is_remembered_of_a_host_after_its_last_question(hosts: Hosts) -> None:
    for number in range(30):
        hosts.asker.wait(hosts.ask(f"removed{number}", lambda: None))
    until = time.monotonic() + LIMIT_S
    while hosts.asker._asked and time.monotonic() < until:
        time.sleep(0.01)
    assert not hosts.asker._asked and not hosts.asker._waiting


def test_a_question_that_nobody_waits_for_any_more_is_not_asked(hosts: Hosts) -> None:
    for number in range(AT_A_TIME):
        hosts.ask(f"busy{number}", hosts.hang)
    late = hosts.ask("node1", lambda: None, limit_s=0.05)
    hosts.asker.wait(late)
    time.sleep(0.1)
    hosts.asker.wait(hosts.ask("node2", lambda: None, limit_s=3))
    assert "node1" not in hosts.asked and "node2" in hosts.asked


def test_a_machine_that_has_no_thread_left_is_asked_again(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, refusals = threading.Thread.start, iter([True, True])

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "test node1" and next(refusals, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(host_questions, "PATIENCE_S", 0.05)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    question = hosts.ask("node1", lambda: None)
    hosts.asker.wait(question)
    assert hosts.asked == ["node1"]
