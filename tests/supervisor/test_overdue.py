"""What is done by itself: overdue confirmations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from servers import clock
from servers.clock import VirtualClock
from servers.errors import InstanceLocked
from servers.inventory.reconciliation.reconcile import is_due
from servers.models import ActionRecord, ReconcilePass, Server
from servers.supervisor import overdue
from servers.supervisor.overdue import confirm_overdue
from tests.factories import make_migration
from tests.small_fleet import SmallFleet


def test_move_that_waits_too_long_is_confirmed(
    fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any
) -> None:
    settings.RESIZE_CONFIRM_WINDOW_S = 60
    server = fleet.add_server()
    fleet.do("migrate", server)
    assert confirm_overdue() == 0
    virtual_clock.sleep(61)
    fleet.heartbeat()
    assert confirm_overdue() == 1
    fleet.work()
    assert fleet.state(server)["vm_state"] == "active"
    assert ActionRecord.objects.get(slug="confirm-resize").door == "periodic"


def test_window_of_zero_is_off(fleet: SmallFleet, virtual_clock: VirtualClock) -> None:
    fleet.do("migrate", fleet.add_server())
    virtual_clock.sleep(10_000_000)
    assert confirm_overdue() == 0


@pytest.fixture
def waiting(fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any) -> list[Server]:
    """Return servers whose moves have waited for too long."""
    settings.RESIZE_CONFIRM_WINDOW_S = 60
    servers = [fleet.add_server(name, memory_mb=16) for name in ("a", "b", "c")]
    for server in servers:
        fleet.do("migrate", server)
    virtual_clock.sleep(61)
    fleet.heartbeat()
    return servers


def states() -> list[str]:
    return list(Server.objects.order_by("name").values_list("vm_state", flat=True))


def test_confirmation_that_raises_keeps_no_other_server_from_its_own(
    fleet: SmallFleet, waiting: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = overdue.submit

    def fail_for_b(action: Any, server: str, *facts: Any) -> Any:
        if server == str(waiting[1].pk):
            raise ValueError("odd")
        return submit(action, server, *facts)

    monkeypatch.setattr(overdue, "submit", fail_for_b)
    assert confirm_overdue() == 2
    fleet.work()
    assert states() == ["active", "resized", "active"]


def test_confirmation_that_is_refused_keeps_no_other_from_its_own_for_ever(
    fleet: SmallFleet, waiting: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "CONFIRMED_AT_ONCE", 1)
    submit = overdue.submit

    def refuse_b(action: Any, server: str, *facts: Any) -> Any:
        if server == str(waiting[1].pk):
            raise InstanceLocked(server=server)
        return submit(action, server, *facts)

    monkeypatch.setattr(overdue, "submit", refuse_b)
    for _ in range(200):
        assert confirm_overdue() <= 1
    fleet.work()
    assert states() == ["active", "resized", "active"]


def test_move_that_is_being_confirmed_is_not_asked_for_again(
    fleet: SmallFleet, waiting: list[Server]
) -> None:
    assert [confirm_overdue(), confirm_overdue()] == [3, 0]
    assert ActionRecord.objects.filter(slug="confirm-resize").count() == 3


def test_move_is_not_confirmed_for_an_older_one_that_was_overdue(
    fleet: SmallFleet, waiting: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_server, moved = overdue.lock_server, []

    def move_on_first(server: Any) -> Any:
        if not moved:
            moved.append(server)
            row = Server.objects.get(pk=server)
            fleet.do("confirm-resize", row)
            fleet.do("migrate", row)
        return lock_server(server)

    monkeypatch.setattr(overdue, "lock_server", move_on_first)
    assert confirm_overdue() == 2
    fleet.work()
    assert sorted(states()) == ["active", "active", "resized"]


def test_move_is_not_confirmed_for_a_forgotten_one_of_its_server(
    fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any
) -> None:
    settings.RESIZE_CONFIRM_WINDOW_S = 60
    server = fleet.add_server()
    make_migration(server, migration_type="migration", status="finished")
    virtual_clock.sleep(61)
    fleet.heartbeat()
    fleet.do("migrate", server)
    assert confirm_overdue() == 0


def test_a_pass_that_a_wrong_clock_has_begun_in_the_future_keeps_nobody_from_the_next(db: None) -> None:
    ReconcilePass.objects.create(door="periodic", started_at=clock.now() + timedelta(hours=3))
    assert is_due()


def test_after_a_step_of_the_clock_no_move_is_confirmed_early(
    fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any
) -> None:
    settings.RESIZE_CONFIRM_WINDOW_S = 3600
    fleet.do("migrate", fleet.add_server(storage="local"))
    virtual_clock.step(3 * 3600)
    assert confirm_overdue() == 0
    virtual_clock.sleep(3601)
    fleet.heartbeat()
    assert confirm_overdue() == 1
