"""One worker at a time: the claim, the fencing token, and whose turn it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from servers import clock
from servers.clock import VirtualClock
from servers.engine.execution import lease as leases
from servers.engine.execution.lease import claim, fenced, renew
from servers.engine.execution.lease_renewal import Heartbeat
from servers.errors import LeaseLost
from servers.models import ActionRecord, Server
from servers.states import ActionStatus

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def virtual() -> object:
    with clock.use(VirtualClock()) as virtual:
        yield virtual


@pytest.fixture
def server() -> Server:
    return Server.objects.create(name="web", project_id="p", user_id="u", vcpus=1, memory_mb=512)


def accepted(server: Server, slug: str = "migrate", **fields: object) -> ActionRecord:
    clock.sleep(0.001)
    return ActionRecord.objects.create(
        server=server,
        slug=slug,
        name=slug,
        request_id="req-1",
        user_id="u",
        project_id="p",
        microversion="2.34",
        **{"created_at": clock.now(), "due_at": clock.now(), **fields},
    )


def test_action_is_claimed_by_one_worker(server: Server) -> None:
    action = accepted(server)
    assert claim(action.pk, "a") is not None
    assert claim(action.pk, "b") is None


def test_expired_lease_is_taken_over_with_a_higher_token(server: Server) -> None:
    action = accepted(server)
    first = claim(action.pk, "a")
    clock.sleep(settings.LEASE_TTL_S + 0.1)
    second = claim(action.pk, "b")
    assert first and second and second.attempt == first.attempt + 1


def test_fenced_worker_cannot_write(server: Server) -> None:
    action = accepted(server)
    first = claim(action.pk, "a")
    clock.sleep(settings.LEASE_TTL_S + 0.1)
    assert first and claim(action.pk, "b")
    assert not renew(first)
    with pytest.raises(LeaseLost), fenced(first):
        pytest.fail("a fenced worker got in")


def test_renewed_lease_is_not_taken_over(server: Server) -> None:
    action = accepted(server)
    lease = claim(action.pk, "a")
    for _ in range(5):
        clock.sleep(settings.LEASE_TTL_S * 0.9)
        assert lease and renew(lease)
    assert claim(action.pk, "b") is None


def test_action_is_not_claimed_before_it_is_due(server: Server) -> None:
    action = accepted(server, due_at=clock.now() + timedelta(seconds=5))
    assert claim(action.pk, "a") is None
    clock.sleep(6)
    assert claim(action.pk, "a") is not None


def test_action_of_an_unknown_definition_is_left_alone(server: Server) -> None:
    assert claim(accepted(server, slug="of-tomorrow").pk, "a") is None
    assert claim(accepted(server, definition=99).pk, "a") is None


def test_action_of_another_version_waits_for_an_operator_when_no_worker_of_that_version_comes(
    server: Server,
) -> None:
    foreign, known = accepted(server, definition=99), accepted(server)
    clock.sleep(599)
    assert leases.stall_foreign(600) == 0
    clock.sleep(2)
    assert leases.stall_foreign(600) == 1
    foreign.refresh_from_db()
    known.refresh_from_db()
    assert (foreign.status, foreign.error_text) == (ActionStatus.UNKNOWN, leases.OF_ANOTHER_VERSION)
    assert foreign.stalled_at is not None and known.status == ActionStatus.QUEUED
    assert leases.stall_foreign(600) == 0


def test_action_of_another_version_that_is_worked_on_is_left_to_its_worker(server: Server) -> None:
    running = accepted(server, slug="of-tomorrow", status=ActionStatus.RUNNING)
    clock.sleep(601)
    ActionRecord.objects.filter(pk=running.pk).update(lease_until=clock.now() + timedelta(seconds=5))
    assert leases.stall_foreign(600) == 0


def test_later_action_waits_for_the_earlier_one(server: Server) -> None:
    first, second = accepted(server, "inject-network-info"), accepted(server, "reset-network")
    assert claim(second.pk, "a") is None
    assert claim(first.pk, "a") is not None
    assert claim(second.pk, "b") is None


def test_nothing_starts_while_an_outcome_is_unknown(server: Server) -> None:
    first, second = accepted(server), accepted(server, "inject-network-info")
    lease = claim(first.pk, "a")
    assert lease and leases.mark_unknown(lease, "no answer")
    assert claim(second.pk, "b") is None
    clock.sleep(settings.UNKNOWN_RETRY_S + 0.1)
    assert claim(second.pk, "b") is None
    assert claim(first.pk, "b") is not None


def test_control_action_runs_beside_the_exclusive_one(server: Server) -> None:
    move, abort = accepted(server), accepted(server, "abort-migration", exclusive=False)
    assert claim(move.pk, "a") is not None
    assert claim(abort.pk, "b") is not None


def test_database_refuses_two_exclusive_actions_at_once(server: Server) -> None:
    accepted(server, status=ActionStatus.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        accepted(server, status=ActionStatus.UNKNOWN)


def test_servers_do_not_wait_for_each_other(server: Server) -> None:
    other = Server.objects.create(name="db", project_id="p", user_id="u", vcpus=1, memory_mb=512)
    assert claim(accepted(server).pk, "a") is not None
    assert claim(accepted(other).pk, "b") is not None


def test_work_without_progress_becomes_unknown_and_ends_its_process(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = accepted(server)
    lease = claim(action.pk, "a")
    ended = []
    assert lease
    heartbeat = Heartbeat(lease, on_end=lambda: ended.append(True))
    heartbeat.interval_s = 0
    clock.sleep(settings.NO_PROGRESS_LIMIT_S + 1)
    heartbeat.renewed_at = clock.monotonic()
    monkeypatch.setattr(heartbeat, "say", lambda reason: leases.mark_unknown(lease, reason))
    heartbeat.watch()
    action.refresh_from_db()
    assert (action.status, ended) == (ActionStatus.UNKNOWN, [True])
    assert "No progress" in action.error_text
