"""The threads of the web server: no more than are needed, and none for long that is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from servers.web import pool as pools
from servers.web.pool import Pool

PATIENCE_S = 10.0


class Task:
    """A request that goes on until somebody lets it end."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.work = work
        self.thread: int | None = None
        self.begun, self.go_on, self.done = threading.Event(), threading.Event(), threading.Event()

    def service(self) -> None:
        self.thread = threading.get_ident()
        self.begun.set()
        self.go_on.wait(PATIENCE_S)
        self.done.set()
        self.work()


def at_once(pool: Pool, number: int) -> list[Task]:
    """Return tasks that are all in work, or wait."""
    tasks = [Task() for _ in range(number)]
    for task in tasks:
        pool.add_task(task)
    return tasks


def end(*tasks: Task) -> None:
    for task in tasks:
        task.go_on.set()
    for task in tasks:
        assert task.done.wait(PATIENCE_S)


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_requests_one_after_the_other_are_handled_by_one_thread() -> None:
    pool, used = Pool(8), set()
    for _ in range(20):
        (task,) = at_once(pool, 1)
        end(task)
        used.add(task.thread)
        until(lambda: len(pool._idle) == 1)
    assert len(used) == 1


def test_as_many_as_there_are_at_once_and_the_next_waits_for_its_turn() -> None:
    pool = Pool(3)
    first = at_once(pool, 3)
    assert all(task.begun.wait(PATIENCE_S) for task in first)
    (late,) = at_once(pool, 1)
    assert not late.begun.wait(0.1)
    end(first[1])
    assert late.begun.wait(PATIENCE_S)
    end(late, first[0], first[2])


def test_after_a_crowd_those_who_waited_longest_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    pool = Pool(4, at_end=lambda: ended.append(threading.get_ident()))
    monkeypatch.setattr(pools, "IDLE_S", 0.2)
    end(*at_once(pool, 4))
    until(lambda: len(ended) == 4)
    end(*at_once(pool, 4))  # and there are as many again
    until(lambda: len(ended) == 8)


def test_a_request_that_fails_takes_no_thread_with_it() -> None:
    def fail() -> None:
        raise ValueError("odd")

    pool = Pool(1)
    failing = Task(fail)
    pool.add_task(failing)
    end(failing)
    end(*at_once(pool, 2))


def test_one_that_steps_aside_lets_another_begin_and_there_are_no_more_afterwards() -> None:
    pool = Pool(1)

    def wait_aside() -> None:
        pool.step_aside()
        begun.set()
        go_on.wait(PATIENCE_S)
        pool.come_back()

    begun, go_on = threading.Event(), threading.Event()
    waiting = Task(wait_aside)
    pool.add_task(waiting)
    waiting.go_on.set()
    assert begun.wait(PATIENCE_S)
    (other,) = at_once(pool, 1)
    assert other.begun.wait(PATIENCE_S)
    go_on.set()
    end(other)
    first, second = at_once(pool, 2)
    assert first.begun.wait(PATIENCE_S) or second.begun.wait(PATIENCE_S)
    assert sum(task.begun.wait(0.2) for task in (first, second)) == 1
    end(first, second)


def test_request_that_waits_for_a_thread_gets_that_of_one_that_steps_aside() -> None:
    pool, go_on = Pool(1), threading.Event()

    def wait_aside() -> None:
        pool.step_aside()
        go_on.wait(PATIENCE_S)
        pool.come_back()

    waiting = Task(wait_aside)
    pool.add_task(waiting)
    (late,) = at_once(pool, 1)
    assert not late.begun.wait(0.1)
    waiting.go_on.set()
    assert late.begun.wait(PATIENCE_S)
    go_on.set()
    end(late)


def test_a_machine_without_threads_keeps_the_request_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = Pool(2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        (waiting,) = at_once(pool, 1)
    assert not waiting.begun.is_set()
    (other,) = at_once(pool, 1)
    end(waiting, other)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_ends_a_thread_another_one_takes_its_place() -> None:
    def leave() -> None:
        raise SystemExit

    pool = Pool(1)
    leaving = Task(leave)
    pool.add_task(leaving)
    (late,) = at_once(pool, 1)
    end(leaving, late)
