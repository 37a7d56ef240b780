"""The fence of an action at work: what a worker may still do is asked of the database, and of every host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings

from servers import clock
from servers.actions import registry
from servers.actions.base import Request
from servers.clock import VirtualClock
from servers.engine.accepting.submit import accept
from servers.engine.execution import lease as leases
from servers.engine.execution.lease import Lease, claim, fenced
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.execution.queue import run_until_idle
from servers.engine.execution.task import WorkingTask
from servers.errors import GuestOnTwoHosts, InstanceMissing, LeaseLost
from servers.fleet.drivers import guest_of
from servers.microversions import NEWEST
from servers.models import ActionRecord, Allocation, Server
from servers.states import ActionStatus, PowerState
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db

LIVE = {"host": "node2", "block_migration": "auto"}


@pytest.fixture
def server(fleet: SmallFleet) -> Server:
    return fleet.add_server()


@pytest.fixture
def held(fleet: SmallFleet, server: Server) -> Lease:
    """Return the lease of a worker that has just begun with a cold move."""
    return must_claim(fleet.submit("migrate", server).record.pk)


def must_claim(action: UUID, worker: str = "first") -> Lease:
    lease = claim(action, worker)
    assert lease is not None
    return lease


def lose(lease: Lease) -> Lease:
    """Let another worker have the action; return its lease."""
    clock.sleep(settings.LEASE_TTL_S + 0.1)
    return must_claim(lease.action, "second")


def test_effect_is_refused_to_a_worker_whose_lease_somebody_else_has(held: Lease) -> None:
    task = WorkingTask(held)
    task.begin_step("move_disk")
    lose(held)
    with pytest.raises(LeaseLost):
        task.prove()


def test_second_effect_of_a_step_is_proven_at_the_database_as_the_first_was(held: Lease) -> None:
    task = WorkingTask(held)
    task.begin_step("move_disk")
    task.prove()
    lose(held)
    with pytest.raises(LeaseLost):
        task.prove()


def test_effect_is_in_the_journal_before_it_happens(held: Lease) -> None:
    task = WorkingTask(held)
    task.begin_step("move_disk")
    assert ActionRecord.objects.get(pk=held.action).effective == []
    task.prove()
    assert ActionRecord.objects.get(pk=held.action).effective == ["move_disk"]


def test_guest_that_somebody_runs_elsewhere_is_not_started(
    fleet: SmallFleet, server: Server, held: Lease
) -> None:
    fleet.simulation.stop_guest("node1", server.pk)
    fleet.simulation.add_guest("node3", guest_of(server), PowerState.RUNNING)
    task = WorkingTask(held)
    task.begin_step("start_at_destination")
    with pytest.raises(GuestOnTwoHosts):
        task.prove_alone("node2")


def test_worker_that_finds_its_lease_lost_says_so(held: Lease) -> None:
    heartbeat = Heartbeat(held, on_end=lambda: None)
    heartbeat.renew_once()
    assert not heartbeat.is_lost
    lose(held)
    heartbeat.renew_once()
    assert heartbeat.is_lost


def test_nobody_renews_what_another_attempt_has(held: Lease) -> None:
    lose(held)
    assert not leases.renew(held)


def test_worker_that_has_put_an_action_back_writes_no_more(held: Lease) -> None:
    WorkingTask(held).requeue(0)
    assert ActionRecord.objects.get(pk=held.action).attempt == held.attempt
    with pytest.raises(LeaseLost), fenced(held):
        pytest.fail("it wrote without holding the action")


def test_action_that_somebody_holds_is_claimed_by_nobody(held: Lease) -> None:
    assert claim(held.action, "second") is None


def test_attempts_without_progress_are_counted_until_a_person_has_to_look(held: Lease) -> None:
    lease: Lease | None = held
    for _ in range(settings.MAX_FUTILE_ATTEMPTS):
        assert lease is not None
        clock.sleep(settings.LEASE_TTL_S + 0.1)
        lease = claim(held.action, "next")
    row = ActionRecord.objects.get(pk=held.action)
    assert (lease, row.status, row.stalled_at is not None) == (None, ActionStatus.UNKNOWN, True)


def test_server_that_was_deleted_since_it_was_found_is_not_reset(fleet: SmallFleet, server: Server) -> None:
    Server.objects.filter(pk=server.pk).update(deleted_at=clock.now())
    request = Request({"state": "active"}, NEWEST)
    with pytest.raises(InstanceMissing):
        accept(registry["reset-state"](), server.pk, request, fleet.context(), None)


# ------------------------------------------------------------------------------------- while it moves


@pytest.fixture
def meanwhile(fleet: SmallFleet, server: Server) -> Callable[[Callable[[], object]], object]:
    """Return how to ask something while the server's guest is moved live."""

    def ask(question: Callable[[], object]) -> object:
        answers: list[object] = []

        def look() -> None:
            if fleet.simulation.job_of(guest_of(server)):
                answers.append(question())

        a_second_ago = clock.now() - timedelta(seconds=1)
        with clock.use(VirtualClock(a_second_ago, on_sleep=look)):
            fleet.submit("live-migration", server, **LIVE)
            fleet.heartbeat()
            fleet.simulation.set_dirty_rate(server.pk, 900_000_000)
            run_until_idle()
        assert answers, "the move was over before anybody could look"
        return answers[0]

    return ask


def test_both_hosts_are_charged_while_a_guest_moves(meanwhile: Callable[..., object]) -> None:
    charged = meanwhile(lambda: sorted(room.host.name for room in Allocation.objects.select_related("host")))
    assert charged == ["node1", "node2"]


def test_record_follows_the_guest_and_is_not_there_before_it(
    meanwhile: Callable[..., object], server: Server
) -> None:
    recorded = meanwhile(lambda: Server.objects.select_related("host").get(pk=server.pk).host)
    assert str(recorded) == "node1"
