"""What is forgotten in time, and what never is while it is owed to somebody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session

from servers import clock
from servers.clock import VirtualClock
from servers.models import (
    ActionEvent,
    ActionRecord,
    Allocation,
    Divergence,
    Host,
    KnownAddress,
    LoginFailures,
    Migration,
    Project,
    ReconcilePass,
    Server,
    Token,
)
from servers.states import MIGRATION_OVER, OPEN_ACTION_STATUSES, MigrationStatus
from servers.supervisor import retention
from servers.supervisor.retention import prune
from tests.factories import make_action, make_image, make_migration, make_token, make_user
from tests.small_fleet import SmallFleet

LONG_AGO = timedelta(days=1000)


@pytest.fixture
def server(fleet: SmallFleet) -> Server:
    return fleet.add_server()


def old(server: Server, **fields: Any) -> ActionRecord:
    """Return an action that ended long ago."""
    return make_action(server, **{"finished_at": clock.now() - LONG_AGO, **fields})


def old_move(server: Server, **fields: Any) -> Migration:
    """Return a move that ended long ago."""
    return make_migration(server, **{"status": "completed", "finished_at": clock.now() - LONG_AGO, **fields})


def test_finished_actions_and_expired_tokens_are_forgotten_in_time(
    fleet: SmallFleet, server: Server, virtual_clock: VirtualClock, settings: Any
) -> None:
    fleet.do("lock", server)
    fleet.submit("migrate", server)
    make_token(make_user(), None, [])
    assert set(prune().values()) == {0}
    virtual_clock.sleep(86400 * (settings.KEEP_ACTIONS_DAYS + 1))
    forgotten = prune()
    assert (forgotten["actions"], forgotten["tokens"]) == (1, 1)
    assert [a.slug for a in ActionRecord.objects.all()] == ["migrate"]
    assert not Token.objects.exists()


def test_action_goes_with_its_events(server: Server) -> None:
    action, kept = old(server), make_action(server, finished_at=clock.now())
    for record in (action, kept):
        ActionEvent.objects.create(action=record, name="e")
    prune()
    assert [event.action_id for event in ActionEvent.objects.all()] == [kept.pk]
    assert list(ActionRecord.objects.all()) == [kept]


def test_move_that_is_over_goes_with_the_last_action_that_speaks_of_it(server: Server) -> None:
    move = old_move(server)
    old(server, migration=move), make_action(server, finished_at=clock.now(), migration=move)
    prune()
    assert Migration.objects.filter(pk=move.pk).exists()
    ActionRecord.objects.update(finished_at=clock.now() - LONG_AGO)
    forgotten = prune()
    assert (forgotten["actions"], forgotten["migrations"]) == (1, 1)


def test_sessions_and_what_is_remembered_of_logins_go_in_time(server: Server) -> None:
    for days in (-1, 1):
        Session.objects.create(session_key=str(days), expire_date=clock.now() + timedelta(days=days))
        then = clock.now() + timedelta(days=days)
        LoginFailures.objects.create(of=LoginFailures.Of.PAIR, name=str(days), ends_at=then)
    for address, age in (("recent", timedelta(days=29)), ("former", timedelta(days=31))):
        KnownAddress.objects.create(address=address, seen_at=clock.now() - age)
    forgotten = prune()
    assert (forgotten["sessions"], forgotten["failed logins"], forgotten["known addresses"]) == (1, 1, 1)
    assert LoginFailures.objects.get().name == "1" and Session.objects.get().session_key == "1"
    assert KnownAddress.objects.get().address == "recent"


def wait_for_confirmation(server: Server) -> None:
    old(server, migration=make_migration(server, migration_type="migration", status="finished"))


def wait_for_judgement(server: Server) -> None:
    old(server, status="unknown", stalled_at=clock.now() - LONG_AGO)


def overtake_one_that_goes_on(server: Server) -> None:
    make_action(server, status="unknown", finished_at=None, overtaken_by=old(server, slug="reset-state"))


def leave_an_image_half_made(server: Server) -> None:
    old(server, image=make_image(Project.objects.get(pk=server.project_id), status="saving"))


def hold_room(server: Server) -> None:
    move = old_move(server, status="error")
    host = Host.objects.get(name="node2")
    Allocation.objects.create(host=host, migration=move, vcpus=1, memory_mb=1, disk_gb=1)


def differ(server: Server) -> None:
    """Let a move have left something on a host, which a person has to look at."""
    old_move(server, status="failed")
    found = ReconcilePass.objects.create(finished_at=clock.now())
    Divergence.objects.create(reconcile=found, server=server, kind="destination_left", what="w", proposal="p")


def leave_something_on_a_host(server: Server) -> None:
    old(server, status="failed", left_on="node2")


OWED: list[Callable[[Server], None]] = [
    wait_for_confirmation,
    wait_for_judgement,
    overtake_one_that_goes_on,
    leave_an_image_half_made,
    leave_something_on_a_host,
    hold_room,
    differ,
]


@pytest.mark.parametrize("owe", OWED)
def test_what_is_still_owed_is_never_forgotten(owe: Callable[[Server], None], server: Server) -> None:
    owe(server)
    before = (ActionRecord.objects.count(), Migration.objects.count(), Allocation.objects.count())
    assert set(prune().values()) == {0}
    assert before == (ActionRecord.objects.count(), Migration.objects.count(), Allocation.objects.count())


def test_what_was_left_on_a_host_that_is_no_more_is_owed_to_nobody(server: Server) -> None:
    old(server, status="failed", left_on="a host of long ago")
    assert prune()["actions"] == 1


@pytest.mark.parametrize("status", sorted(OPEN_ACTION_STATUSES))
def test_open_action_is_kept_whatever_its_dates_say(status: str, server: Server) -> None:
    old(server, status=status, exclusive=False)
    assert prune()["actions"] == 0


@pytest.mark.parametrize("status", [s for s in MigrationStatus if s not in MIGRATION_OVER])
def test_move_that_is_not_over_is_kept_with_its_actions(status: MigrationStatus, server: Server) -> None:
    old(server, migration=old_move(server, status=status.value))
    assert set(prune().values()) == {0}


def test_overtaken_action_outlives_the_one_that_has_overtaken_it(server: Server) -> None:
    later = old(server, slug="reset-state")
    earlier = make_action(server, finished_at=clock.now(), overtaken_by=later)
    assert prune()["actions"] == 1
    earlier.refresh_from_db()
    assert earlier.overtaken_by_id is None


def test_no_more_is_forgotten_at_a_time_than_is_quick(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_MOST", 500)
    ActionRecord.objects.bulk_create(
        ActionRecord(
            server=server,
            request_id="r",
            slug="s",
            name="s",
            user_id="u",
            project_id="p",
            microversion="2.1",
            status="succeeded",
            finished_at=clock.now() - LONG_AGO,
        )
        for _ in range(1100)
    )
    assert [prune()["actions"] for _ in range(4)] == [500, 500, 100, 0]


HANDLED = {
    ActionRecord: {"actionevent.action", "actionrecord.overtaken_by"},
    Migration: {"actionrecord.migration", "allocation.migration"},
    Token: set(),
    Session: set(),
    LoginFailures: set(),
    KnownAddress: set(),
}
"""What refers to rows that are deleted without asking Django what goes along."""


@pytest.mark.parametrize("model", list(HANDLED))
def test_nothing_refers_to_what_is_forgotten_that_forgetting_does_not_know_of(model: Any) -> None:
    refers = {
        f"{field.related_model._meta.model_name}.{field.field.name}"
        for field in model._meta.get_fields(include_hidden=True)
        if field.auto_created and not field.concrete
    }
    assert refers == HANDLED[model]
