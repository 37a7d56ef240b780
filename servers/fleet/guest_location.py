"""Where a guest really is: the hypervisors are asked before the database is believed (law 3)."""

from __future__ import annotations

from collections.abc import Mapping

from servers.drivers.base import Driver, FoundGuest
from servers.errors import GuestOnTwoHosts, HypervisorTimeout, HypervisorUnavailable
from servers.models import Server
from servers.states import PowerState

ALIVE = frozenset({PowerState.RUNNING, PowerState.PAUSED})
"""A guest in one of these has a process, and may write to its disks."""


def guest_host(server: Server, drivers: Mapping[str, Driver]) -> str | None:
    """Return which of the hosts has the server's guest; None when none has it.

    One that runs comes before one that is only defined. Raises GuestOnTwoHosts; HypervisorUnavailable or
    HypervisorTimeout when a host's silence leaves the answer open.
    """
    found: dict[str, FoundGuest] = {}
    silence: HypervisorUnavailable | HypervisorTimeout | None = None
    for name, driver in drivers.items():
        try:
            guest = driver.find_guest(server.uuid)
        except (HypervisorUnavailable, HypervisorTimeout) as fault:
            silence = fault
            continue
        if guest is not None and not guest.prepared_only:
            found[name] = guest
    alive = [name for name, guest in found.items() if guest.power_state in ALIVE]
    if len(alive) > 1:
        raise GuestOnTwoHosts(guest=server.instance_name, hosts=" and ".join(alive))
    if alive:
        return alive[0]
    if silence is not None:
        raise silence
    return next(iter(found), None)
