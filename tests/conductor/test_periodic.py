"""What is done by itself: overdue confirmations, and forgetting."""

from __future__ import annotations

from typing import Any

from servers.clock import VirtualClock
from servers.conductor.periodic import confirm_overdue
from servers.conductor.retention import prune
from servers.models import ActionRecord, Token
from tests.factories import make_token, make_user
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


def test_finished_actions_and_expired_tokens_are_forgotten_in_time(
    fleet: SmallFleet, virtual_clock: VirtualClock, settings: Any
) -> None:
    server = fleet.add_server()
    fleet.do("lock", server)
    fleet.submit("migrate", server)
    make_token(make_user(), None, [])
    assert prune() == (0, 0)
    virtual_clock.sleep(86400 * (settings.KEEP_ACTIONS_DAYS + 1))
    assert prune() == (1, 1)
    assert [a.slug for a in ActionRecord.objects.all()] == ["migrate"]
    assert not Token.objects.exists()
