"""What the supervisor of workers does itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError

from servers import clock
from servers.models import Worker
from servers.supervisor import periodic_tasks
from servers.supervisor.periodic_tasks import SLOW_AT_A_TIME, PeriodicTask, PeriodicTasks

OFTEN_S = 0.01
NEVER_TWICE_S = 3600.0


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """Return what ends the tasks of a test."""
    event = threading.Event()
    yield event
    event.set()


def until(condition: Callable[[], bool], limit_s: float = 20) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.django_db
def test_a_supervisor_is_heard_of_and_forgotten_when_it_leaves() -> None:
    supervisor = PeriodicTasks("here", 3)
    supervisor.show_presence()
    assert Worker.objects.get(name="here").processes == 3
    supervisor.leave()
    assert not Worker.objects.exists()


def test_a_supervisor_leaves_in_peace_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**fields: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(Worker.objects, "filter", away)
    monkeypatch.setattr(periodic_tasks, "sweep", away)
    PeriodicTasks("here", 1).leave()


@pytest.mark.django_db
def test_its_presence_is_renewed_and_not_doubled() -> None:
    Worker.objects.create(name="here", seen_at=clock.now() - timedelta(hours=1))
    PeriodicTasks("here", 1).show_presence()
    assert clock.now() - Worker.objects.get().seen_at < timedelta(minutes=1)


@pytest.mark.django_db
def test_supervisors_of_long_ago_are_forgotten() -> None:
    Worker.objects.create(name="gone", seen_at=clock.now() - timedelta(days=2))
    PeriodicTasks("here", 1).show_presence()
    assert Worker.objects.get().name == "here"


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("database is locked"),
        InterfaceError("connection already closed"),
        RuntimeError("can't start new thread"),
        ValueError("nobody foresaw it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_duty_raises_is_logged_and_met_again(
    error: Exception, ended: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise error

    PeriodicTask("a task", OFTEN_S, fail).keep_up(ended)
    until(lambda: len(tries) > 3)
    assert f"a task: {error}" in caplog.text


def test_a_duty_waits_until_it_is_due(ended: threading.Event) -> None:
    done: list[int] = []
    task = PeriodicTask("seldom", NEVER_TWICE_S, lambda: done.append(1))
    for _ in range(3):
        task.keep_up(ended)
        time.sleep(0.05)
    assert done == [1]
    ended.set()
    assert task.thread is not None
    task.thread.join(20)
    assert not task.thread.is_alive()


def test_a_duty_that_hangs_keeps_no_other_waiting_and_is_not_begun_twice(ended: threading.Event) -> None:
    begun: list[int] = []
    done: list[int] = []

    def hang() -> None:
        begun.append(1)
        ended.wait(20)

    slow, quick = PeriodicTask("slow", OFTEN_S, hang), PeriodicTask("quick", OFTEN_S, lambda: done.append(1))
    for _ in range(5):
        slow.keep_up(ended)
        quick.keep_up(ended)
    until(lambda: len(done) > 5)
    assert begun == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_duty_whose_thread_has_died_gets_another_one(ended: threading.Event) -> None:
    done: list[int] = []

    def end_the_thread() -> None:
        done.append(1)
        raise SystemExit

    task = PeriodicTask("deadly", OFTEN_S, end_the_thread)
    for number in range(1, 4):
        task.keep_up(ended)
        until(lambda number=number: len(done) == number and not is_alive(task))  # type: ignore[misc]


def is_alive(task: PeriodicTask) -> bool:
    return task.thread is not None and task.thread.is_alive()


def test_a_machine_without_another_thread_is_asked_for_one_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    supervisor = PeriodicTasks("here", 1)
    supervisor.tasks = [PeriodicTask("a task", OFTEN_S, lambda: done.append(1))]

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        supervisor.keep_up()
    assert "a task: can't start new thread" in caplog.text
    supervisor.keep_up()
    until(lambda: bool(done))
    supervisor.ended.set()


def test_no_more_than_a_few_slow_duties_are_at_it_at_a_time() -> None:
    supervisor = PeriodicTasks("here", 1)
    quick = [task.name for task in supervisor.tasks if task.turn is not slow_turn(supervisor)]
    assert quick == ["presence", "sweep", "heartbeats", "chain"]
    turns = [slow_turn(supervisor).acquire(blocking=False) for _ in range(SLOW_AT_A_TIME + 1)]
    assert turns == [True] * SLOW_AT_A_TIME + [False]


def slow_turn(supervisor: PeriodicTasks) -> threading.BoundedSemaphore:
    turn = supervisor.tasks[-1].turn
    assert isinstance(turn, threading.BoundedSemaphore)
    return turn


@pytest.mark.django_db
def test_every_duty_survives_an_empty_database(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = PeriodicTasks("here", 1)
    for task in supervisor.tasks:
        task.do_once()
    assert not [record for record in caplog.records if record.name == periodic_tasks.__name__]
    assert Worker.objects.get().name == "here"


@pytest.mark.django_db
def test_what_a_dead_worker_held_is_released_as_soon_as_there_is_a_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released: list[str] = []
    away = iter([True, False, False])

    def release(worker: str) -> None:
        if next(away):
            raise OperationalError("the database system is starting up")
        released.append(worker)

    monkeypatch.setattr(periodic_tasks, "sweep", lambda: 0)
    monkeypatch.setattr(periodic_tasks, "release", release)
    supervisor = PeriodicTasks("here", 2)
    task = next(task for task in supervisor.tasks if task.name == "sweep")
    supervisor.note_reaped("first")
    supervisor.note_reaped("second")
    task.do_once()
    assert released == []
    task.do_once()
    task.do_once()
    assert released == ["first", "second"]
