"""How an action is asked for on a server on which it is possible, out of its definition alone."""

from __future__ import annotations

from typing import Any

from servers.actions import Action
from servers.models import Server
from servers.states import PowerState, VmState
from tests.small_fleet import SmallFleet


def state_for(action: type[Action]) -> VmState:
    """Return a state of a server in which the action is possible: active, where that will do."""
    allowed = action.transition.allowed
    return VmState.ACTIVE if allowed is None or VmState.ACTIVE in allowed else min(allowed)


def ready_server(fleet: SmallFleet, action: type[Action]) -> Server:
    """Return a server on which the action is possible: one that runs, where that will do."""
    state = state_for(action)
    if state is VmState.RESIZED:
        server = fleet.add_server(storage="local")
        fleet.do("migrate", server)
        return server
    power = {VmState.ACTIVE: PowerState.RUNNING, VmState.PAUSED: PowerState.PAUSED}
    return fleet.add_server(vm_state=state, power_state=power.get(state, PowerState.SHUTDOWN))


def example_of(action: type[Action]) -> dict[str, Any]:
    """Return the parameters of the action's newest example; of an action on a migration they lack its number."""
    return dict(action.examples[-1].value or {}) if action.examples else {}
