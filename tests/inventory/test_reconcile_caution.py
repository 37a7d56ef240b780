"""The reconciler leaves alone what it cannot be sure of: a host that was not heard, a server at which somebody works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import clock
from servers.clock import VirtualClock
from servers.fleet.drivers import guest_of
from servers.inventory.reconciliation.reconcile import look, reconcile
from servers.inventory.reconciliation.repairs import repair
from servers.models import Server
from servers.models.reconcile import CHANGED, REPAIRED
from servers.states import PowerState
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def virtual() -> Iterator[None]:
    with clock.use(VirtualClock()):
        yield


def move_by_hand(fleet: SmallFleet) -> Server:
    """Return a server whose guest somebody has moved to node2."""
    server = fleet.add_server()
    fleet.simulation.remove_guest("node1", server.pk)
    fleet.simulation.add_guest("node2", guest_of(server), PowerState.RUNNING)
    return server


def test_record_does_not_follow_a_guest_while_a_host_that_may_run_it_too_is_silent(fleet: SmallFleet) -> None:
    server = move_by_hand(fleet)
    fleet.simulation.lose_host("node3")
    reconcile()
    assert fleet.state(server)["host"] == "node1"
    fleet.simulation.restore_host("node3")
    reconcile()
    assert fleet.state(server)["host"] == "node2"


def test_server_at_which_somebody_works_is_not_repaired(fleet: SmallFleet) -> None:
    server = move_by_hand(fleet)
    report, _ = look()
    findings = [found.finding for found in report.found if found.finding.safe]
    fleet.submit("inject-network-info", server)  # changes no revision
    revision = Server.objects.get(pk=server.pk).revision
    assert repair(server.pk, revision, findings) == CHANGED
    server.actions.all().delete()
    assert repair(server.pk, revision, findings) == REPAIRED
