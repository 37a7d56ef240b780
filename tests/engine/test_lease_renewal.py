"""A lease cannot die silently: a renewal that fails is tried again, and a lease that cannot be renewed ends its worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution import lease as leases
from servers.engine.execution import lease_renewal as heartbeats
from servers.engine.execution.lease import Lease, claim
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.execution.task import WorkingTask
from servers.errors import ComputeHostNotFound, LeaseLost
from tests.small_fleet import SmallFleet

LEASE = Lease(UUID(int=1), 1, "worker")
TTL_S = 0.5


class Watched:
    """A heartbeat whose renewals answer as they are told, and when it has ended its worker."""

    def __init__(self, patch: pytest.MonkeyPatch, renew: Callable[[], bool]) -> None:
        self.asked = 0
        self.began = time.monotonic()
        self.ended_after_s: list[float] = []
        self.answer = renew
        patch.setattr(settings, "LEASE_TTL_S", TTL_S)
        patch.setattr(leases, "renew", self.renew)
        patch.setattr(heartbeats.connection, "close", lambda: None)
        self.heartbeat = Heartbeat(LEASE, on_end=self.end)

    def renew(self, lease: Lease) -> bool:
        self.asked += 1
        return self.answer()

    def end(self) -> None:
        self.ended_after_s.append(time.monotonic() - self.began)

    def live(self, seconds: float) -> None:
        with self.heartbeat:
            time.sleep(seconds)
            self.was_alive = self.heartbeat.is_alive()


def test_a_renewal_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = cycle(
        [OperationalError("database is locked"), InterfaceError("connection already closed"), None]
    )

    def flaky() -> bool:
        fault = next(faults)
        if fault is not None:
            raise fault
        return True

    watched = Watched(monkeypatch, flaky)
    watched.live(3 * TTL_S)
    assert watched.was_alive
    assert (watched.ended_after_s, watched.heartbeat.is_lost) == ([], False)
    assert watched.asked > 6


def test_a_lease_that_cannot_be_renewed_ends_its_worker_before_another_may_claim_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away() -> bool:
        raise OperationalError("the database is away")

    watched = Watched(monkeypatch, away)
    watched.live(2 * TTL_S)
    assert len(watched.ended_after_s) == 1
    assert watched.ended_after_s[0] < TTL_S
    assert watched.heartbeat.is_lost


def test_a_renewal_that_hangs_ends_its_worker_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    watched = Watched(monkeypatch, lambda: answered.wait(5))
    with watched.heartbeat:
        time.sleep(2 * TTL_S)
        ended = list(watched.ended_after_s)
        answered.set()
    assert len(ended) == 1
    assert ended[0] < TTL_S


def test_a_lease_that_is_somebody_elses_is_lost_and_its_worker_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch, lambda: False)
    watched.live(TTL_S)
    assert watched.heartbeat.is_lost
    assert watched.asked == 1


@pytest.mark.django_db
def test_a_worker_that_knows_of_its_loss_proves_nothing(fleet: SmallFleet) -> None:
    record = fleet.submit("migrate", fleet.add_server()).record
    lease = claim(record.pk, "worker")
    assert lease is not None
    heartbeat = Heartbeat(lease, on_end=lambda: None)
    task = WorkingTask(lease, heartbeat)
    task.prove()
    heartbeat.is_lost = True
    with pytest.raises(LeaseLost):
        task.prove()


class PeriodicTasks(threading.Event):
    """Lets a loop that waits for it go round so many times."""

    def __init__(self, rounds: int, each: Callable[[], Any]) -> None:
        super().__init__()
        self.rounds, self.each = rounds, each

    def wait(self, timeout: float | None = None) -> bool:
        self.each()
        self.rounds -= 1
        return self.rounds < 0


@pytest.mark.parametrize("step_s", [-10_800, -600, 600, 10_800])
def test_progress_goes_by_the_counter_whatever_is_done_to_the_time_of_day(step_s: int) -> None:
    ended: list[bool] = []
    with clock.use(VirtualClock()) as virtual:
        assert isinstance(virtual, VirtualClock)
        heartbeat = Heartbeat(LEASE, on_end=lambda: ended.append(True))
        heartbeat.stopped = PeriodicTasks(3, lambda: virtual.step(step_s))
        heartbeat.watch()
    assert (ended, heartbeat.is_lost) == ([], False)


def test_a_worker_without_progress_is_ended_though_its_lease_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[bool] = []
    said: list[str] = []
    with clock.use(VirtualClock()) as virtual:
        heartbeat = Heartbeat(LEASE, on_end=lambda: ended.append(True))
        monkeypatch.setattr(heartbeat, "say", said.append)

        def renewed() -> None:
            virtual.sleep(settings.NO_PROGRESS_LIMIT_S / 2 + 1)
            heartbeat.renewed_at = clock.monotonic()

        heartbeat.stopped = PeriodicTasks(3, renewed)
        heartbeat.watch()
    assert ended == [True]
    assert "No progress" in said[0]


def test_an_event_that_ends_is_progress_also_one_that_has_failed(db: None) -> None:
    fleet = SmallFleet()
    record = fleet.submit("live-migration", fleet.add_server(), host=None, block_migration="auto").record
    lease = claim(record.pk, "worker")
    assert lease is not None
    heartbeat = Heartbeat(lease)
    task = WorkingTask(lease, heartbeat)
    for fault in (None, ComputeHostNotFound(host="node9")):
        heartbeat.progress_at = 0.0
        with suppress(ComputeHostNotFound), task.event("a check", "node9"):
            if fault is not None:
                raise fault
        assert heartbeat.progress_at > 0
