"""How an action is asked for on a server on which it is possible, out of its definition alone."""

from __future__ import annotations

from typing import Any

from servers.actions import Action
from servers.models import Server
from servers.states import PowerState, VmState
from tests.small_fleet import SmallFleet


def ready_server(fleet: SmallFleet, action: type[Action]) -> Server:
    """Return a server on which the action is possible: one that runs, where that will do."""
    allowed = action.transition.allowed
    if allowed is None or VmState.ACTIVE in allowed:
        return fleet.add_server()
    if VmState.RESIZED in allowed:
        server = fleet.add_server(storage="local")
        fleet.do("migrate", server)
        return server
    if VmState.PAUSED in allowed:
        return fleet.add_server(vm_state=VmState.PAUSED, power_state=PowerState.PAUSED)
    return fleet.add_server(vm_state=VmState.STOPPED, power_state=PowerState.SHUTDOWN)


def example_of(action: type[Action]) -> dict[str, Any]:
    """Return the parameters of the action's newest example; of an action on a migration they lack its number."""
    return dict(action.examples[-1].value or {}) if action.examples else {}
