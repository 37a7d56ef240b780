"""A destination that has just died is passed over, as one that refuses is; it is no end of the move."""

from __future__ import annotations

import pytest

from servers.models import Server
from servers.states import ActionStatus
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db
LIVE = {"host": None, "block_migration": "auto"}


@pytest.mark.parametrize("version", ["2.30", "2.90"])
@pytest.mark.parametrize("error", ["HypervisorUnavailable", "HypervisorTimeout"])
def test_a_destination_that_does_not_answer_is_followed_by_the_next(
    error: str, version: str, fleet: SmallFleet
) -> None:
    server = fleet.add_server()
    args = {"host": "node2", "verb": "check", "limit_s": "30"}
    fleet.simulation.set_fault("check_can_live_migrate_destination", "node2", error=error, args=args)
    record = fleet.do("live-migration", server, version, **LIVE)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.state(server)["host"] == "node3"


def test_a_host_that_was_lost_a_moment_ago_is_followed_by_the_next(fleet: SmallFleet) -> None:
    server = fleet.add_server()
    fleet.simulation.lose_host("node2")
    record = fleet.do("live-migration", server, **LIVE)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
    assert fleet.state(server)["host"] == "node3"


def test_a_host_that_was_named_and_does_not_answer_ends_the_move_with_the_guest_untouched(
    fleet: SmallFleet,
) -> None:
    server: Server = fleet.add_server()
    fleet.simulation.lose_host("node2")
    record = fleet.do("live-migration", server, host="node2", block_migration="auto")
    assert record.status == ActionStatus.FAILED
    state = fleet.state(server)
    assert (state["host"], state["runs_on"], state["server_charged_on"]) == ("node1", "node1", ["node1"])


@pytest.mark.parametrize("error", ["HypervisorUnavailable", "HypervisorTimeout"])
def test_a_destination_that_is_away_for_a_moment_as_it_is_prepared_is_asked_again(
    error: str, fleet: SmallFleet
) -> None:
    server = fleet.add_server()
    args = {"host": "node2", "verb": "prepare", "limit_s": "30"}
    fleet.simulation.set_fault("pre_live_migration", error=error, args=args, times=2)
    record = fleet.do("live-migration", server, **LIVE)
    assert record.status == ActionStatus.SUCCEEDED, record.error_text
