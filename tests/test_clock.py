"""One time for all machines: the database's. What one process waits for goes by a counter that no step moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from servers import clock
from servers.clock import Clock, VirtualClock
from servers.engine.execution.lease import claim, renew
from servers.models import ActionRecord, Host, Migration
from servers.supervisor.overdue import confirm_overdue
from tests.small_fleet import SmallFleet

LATER = [timedelta(hours=-3), timedelta(minutes=-10), timedelta(minutes=10), timedelta(hours=3)]


class Database:
    """A database with a clock of its own, which goes on as seconds are let go by."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def answer_after(self, going_s: float, coming_s: float) -> datetime:
        """Return what it says to a question that takes so long on its way, and so long on its way back."""
        self.time += timedelta(seconds=going_s)
        answer = self.time
        self.time += timedelta(seconds=coming_s)
        return answer


class Machine(Clock):
    """A machine that has been up for so long, and whose wall clock says what nobody asks for."""

    def __init__(self, database: Database, uptime_s: float) -> None:
        super().__init__()
        self.database, self.uptime_s = database, uptime_s
        self.booted_at = database.now() - timedelta(seconds=uptime_s)

    def monotonic(self) -> float:
        return (self.database.now() - self.booted_at).total_seconds()


def wall_clock(patch: pytest.MonkeyPatch, offset: timedelta) -> None:
    """Set this machine's time of day so far from what it is."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + offset

    patch.setattr(clock, "datetime", Wrong)


@pytest.mark.parametrize("offset", LATER)
def test_once_it_was_measured_the_time_is_the_databases(
    offset: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall_clock(monkeypatch, offset)
    machine, true = Clock(), datetime.now(UTC)
    assert abs(machine.now() - true - offset) < timedelta(seconds=5)
    machine.measure(lambda: true)
    assert abs(machine.now() - true) < timedelta(seconds=5)


@pytest.mark.parametrize("offset", LATER)
def test_a_step_of_the_wall_clock_moves_no_clock_that_was_measured(
    offset: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Clock()
    machine.measure(lambda: datetime.now(UTC))
    before = machine.now()
    wall_clock(monkeypatch, offset)
    assert timedelta(0) <= machine.now() - before < timedelta(seconds=5)
    assert not machine.stepped_within(60)


@pytest.mark.parametrize("offset", LATER)
def test_a_step_of_a_clock_that_is_the_machines_own_is_noticed(
    offset: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Clock()
    assert not machine.stepped_within(60)
    wall_clock(monkeypatch, offset)
    assert machine.stepped_within(60)
    assert machine.stepped_within(60)
    assert not machine.stepped_within(0)


def test_the_middle_of_the_question_is_taken_for_the_moment_of_its_answer() -> None:
    database = Database()
    machine = Machine(database, 100.0)

    machine.measure(lambda: database.answer_after(2, 2))
    assert machine.now() == database.now()


@pytest.mark.parametrize(("going_s", "coming_s"), [(3, 0), (0, 3), (1, 2)])
def test_a_slow_question_that_contradicts_nothing_moves_no_time(going_s: float, coming_s: float) -> None:
    database = Database()
    machine = Machine(database, 100.0)
    machine.measure(database.now)
    machine.measure(lambda: database.answer_after(going_s, coming_s))
    assert machine.now() == database.now()


def test_the_clock_of_another_database_is_followed_as_far_as_the_question_was_quick() -> None:
    database = Database()
    machine = Machine(database, 100.0)
    machine.measure(database.now)
    machine.measure(lambda: database.answer_after(0.1, 0.1) + timedelta(seconds=60))
    assert abs((machine.now() - database.now()).total_seconds() - 60) <= 0.11


def test_two_machines_that_were_booted_at_different_times_agree() -> None:
    database = Database()
    one, other = Machine(database, 10.0), Machine(database, 1_000_000.0)
    for machine in (one, other):
        machine.measure(database.now)
    database.time += timedelta(hours=5)
    assert abs((one.now() - other.now()).total_seconds()) < 0.001
    assert abs((one.now() - database.now()).total_seconds()) < 0.001


@contextmanager
def at(machine: Machine) -> Iterator[None]:
    """Let the block be what this machine does."""
    with clock.use(machine):
        yield


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def machines(database: Database) -> tuple[Machine, Machine]:
    """Return two machines with one database, whose counters differ by eleven days."""
    found = Machine(database, 5.0), Machine(database, 1_000_000.0)
    for machine in found:
        machine.measure(database.now)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("offset", LATER)
def test_a_machine_with_a_wrong_wall_clock_claims_nothing_that_is_held(
    offset: timedelta,
    database: Database,
    machines: tuple[Machine, Machine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = machines
    with at(one):
        fleet = SmallFleet()
        record = fleet.submit("migrate", fleet.add_server()).record
        lease = claim(record.pk, "one")
    wall_clock(monkeypatch, offset)
    for _ in range(5):
        database.time += timedelta(seconds=settings.LEASE_TTL_S * 0.9)
        with at(other):
            assert claim(record.pk, "other") is None
        with at(one):
            assert lease is not None and renew(lease)
    database.time += timedelta(seconds=settings.LEASE_TTL_S * 1.1)
    with at(other):
        assert claim(record.pk, "other") is not None


@pytest.mark.django_db
@pytest.mark.parametrize("offset", LATER)
def test_a_machine_with_a_wrong_wall_clock_confirms_nothing_early_and_takes_no_host_for_down(
    offset: timedelta, machines: tuple[Machine, Machine], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RESIZE_CONFIRM_WINDOW_S", 3600)
    one, other = machines
    with at(one):
        fleet = SmallFleet()
        server = fleet.add_server()
        fleet.do("migrate", server)
        fleet.heartbeat()
    wall_clock(monkeypatch, offset)
    with at(other):
        assert confirm_overdue() == 0
        assert all(host.is_up for host in Host.objects.all())
    database.time += timedelta(seconds=3601)
    with at(other):
        fleet.heartbeat()
        assert confirm_overdue() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("step_s", [-10_800, -600, 600, 10_800])
def test_after_a_step_of_the_only_clock_every_lease_has_one_more_ttl(step_s: int) -> None:
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        fleet = SmallFleet()
        record = fleet.submit("migrate", fleet.add_server()).record
        lease = claim(record.pk, "one")
        virtual.step(step_s)
        assert claim(record.pk, "other") is None
        virtual.sleep(settings.LEASE_TTL_S * 0.5)
        assert lease is not None and renew(lease)
        virtual.sleep(settings.LEASE_TTL_S * 0.6)
        assert claim(record.pk, "other") is None


@pytest.mark.django_db
@pytest.mark.parametrize("step_s", [-10_800, -600, 600, 10_800])
def test_a_lease_that_nobody_renews_after_a_step_is_soon_free(step_s: int) -> None:
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        fleet = SmallFleet()
        record = fleet.submit("migrate", fleet.add_server()).record
        assert claim(record.pk, "one") is not None
        virtual.step(step_s)
        virtual.sleep(settings.LEASE_TTL_S * 2.1)
        assert claim(record.pk, "other") is not None


@pytest.mark.django_db
def test_what_is_due_in_hours_by_a_clock_that_was_wrong_is_due_now() -> None:
    with clock.use(VirtualClock()):
        fleet = SmallFleet()
        record = fleet.submit("migrate", fleet.add_server()).record
        ActionRecord.objects.filter(pk=record.pk).update(due_at=clock.now() + timedelta(hours=3))
        fleet.heartbeat()
        fleet.work()
        assert Migration.objects.get().status == "finished"
