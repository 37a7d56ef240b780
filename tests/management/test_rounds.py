"""What the supervisor of workers does itself."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError

from servers import clock
from servers.errors import HypervisorUnavailable
from servers.management import rounds
from servers.management.rounds import Duty, Rounds
from servers.models import Host, Worker
from tests.factories import make_host

NEVER_TWICE_S = 3600.0


@pytest.mark.django_db
def test_a_supervisor_is_heard_of_and_forgotten_when_it_leaves() -> None:
    supervisor = Rounds("here", 3)
    supervisor.show_presence()
    assert Worker.objects.get(name="here").processes == 3
    supervisor.leave()
    assert not Worker.objects.exists()


def test_a_supervisor_leaves_in_peace_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**fields: object) -> None:
        raise DatabaseError("the server closed the connection")

    monkeypatch.setattr(Worker.objects, "filter", away)
    Rounds("here", 1).leave()


@pytest.mark.django_db
def test_its_presence_is_renewed_and_not_doubled() -> None:
    Worker.objects.create(name="here", seen_at=clock.now() - timedelta(hours=1))
    Rounds("here", 1).show_presence()
    assert clock.now() - Worker.objects.get().seen_at < timedelta(minutes=1)


@pytest.mark.django_db
def test_a_host_that_hangs_keeps_no_other_host_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answered, released = threading.Event(), threading.Event()

    def refresh(host: Host) -> None:
        asked.append(host.name)
        if host.name == "a-dead":
            released.wait(20)
        else:
            answered.set()

    monkeypatch.setattr(rounds, "refresh_host", refresh)
    monkeypatch.setattr(rounds.connections, "close_all", lambda: None)
    make_host("a-dead")
    make_host("b-alive")
    supervisor = Rounds("here", 1)
    supervisor.ask_hosts()
    assert answered.wait(20)
    supervisor.ask_hosts()
    released.set()
    for thread in supervisor.asking.values():
        thread.join(20)
    assert asked.count("a-dead") == 1


def test_a_host_that_does_not_answer_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: Host) -> None:
        raise HypervisorUnavailable

    monkeypatch.setattr(rounds, "refresh_host", refuse)
    monkeypatch.setattr(rounds.connections, "close_all", lambda: None)
    rounds.ask_host(Host(name="away"))


def test_a_busy_database_is_met_again_at_the_next_round() -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise DatabaseError("database is locked")

    duty = Duty(0, fail)
    duty.do_when_due()
    duty.do_when_due()
    assert len(tries) == 2


def test_a_duty_waits_until_it_is_due() -> None:
    done: list[int] = []
    duty = Duty(NEVER_TWICE_S, lambda: done.append(1))
    duty.do_when_due()
    duty.do_when_due()
    assert done == [1]


@pytest.mark.django_db
def test_a_round_does_all_that_is_due_and_survives_an_empty_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        rounds, "compare", lambda: None
    )  # another thread would write past this test's transaction
    Rounds("here", 1).go_round()
    assert Worker.objects.get().name == "here"


@pytest.mark.django_db
def test_supervisors_of_long_ago_are_forgotten() -> None:
    Worker.objects.create(name="gone", seen_at=clock.now() - timedelta(days=2))
    rounds.tidy_up()
    assert not Worker.objects.exists()


def test_a_comparison_that_hangs_is_waited_for_by_nobody_and_not_begun_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[int] = []
    released = threading.Event()

    def hang() -> None:
        begun.append(1)
        released.wait(20)

    monkeypatch.setattr(rounds, "compare", hang)
    supervisor = Rounds("here", 1)
    supervisor.reconcile()
    supervisor.reconcile()
    released.set()
    assert supervisor.comparing is not None
    supervisor.comparing.join(20)
    assert begun == [1]
    supervisor.reconcile()
    supervisor.comparing.join(20)
    assert begun == [1, 1]


def test_a_comparison_that_fails_is_logged_and_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise DatabaseError("database is locked")

    monkeypatch.setattr(rounds, "reconcile_when_due", fail)
    monkeypatch.setattr(rounds.connections, "close_all", lambda: None)
    rounds.compare()
    assert "reconcile: database is locked" in caplog.text
