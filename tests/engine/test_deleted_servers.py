"""A server that was deleted between the moment it was found and the moment it is locked stays deleted."""

from __future__ import annotations

import pytest

from servers import clock
from servers.actions import registry
from servers.actions.base import Action, Request
from servers.engine.accepting.submit import accept, find_server
from servers.errors import InstanceMissing
from servers.microversions import NEWEST
from servers.models import ActionRecord, Server
from servers.states import VmState
from tests.engine.life_events import ASKED
from tests.small_fleet import SmallFleet

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("action", list(registry.values()), ids=list(registry))
def test_no_action_reaches_a_server_that_has_been_deleted_meanwhile(
    action: type[Action], fleet: SmallFleet
) -> None:
    server = fleet.add_server()
    found = find_server(str(server.pk), fleet.context())
    Server.objects.filter(pk=server.pk).update(vm_state=VmState.DELETED, deleted_at=clock.now())
    params = action.clean(ASKED[action.slug](server, 0), NEWEST)
    with pytest.raises(InstanceMissing):
        accept(action(), found.uuid, Request(params, NEWEST), fleet.context(), None)
    server.refresh_from_db()
    assert (server.vm_state, server.task_state) == (VmState.DELETED, "")
    assert not ActionRecord.objects.filter(server=server).exists()
