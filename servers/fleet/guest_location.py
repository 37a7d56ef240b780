"""Where a guest really is: the hypervisors are asked before the database is believed (engine law 3)."""

from __future__ import annotations

from collections.abc import Mapping

from servers.drivers.base import Driver, FoundGuest
from servers.errors import GuestOnTwoHosts, HypervisorTimeout, HypervisorUnavailable
from servers.models import Server
from servers.states import PowerState

ALIVE = frozenset({PowerState.RUNNING, PowerState.PAUSED})
"""Power states in which a guest has a process, which may write to its disks."""


def guest_host(server: Server, drivers: Mapping[str, Driver]) -> str | None:
    """Return the name of the host that has the server's guest, or None when no host has it.

    `drivers` are by host name. A host where the guest has a process comes before a host where it is only
    defined; a destination that was only prepared does not count. Raises GuestOnTwoHosts when the guest has a
    process on several hosts. Raises HypervisorUnavailable or HypervisorTimeout when a host is silent and the
    guest has a process on none of the others.
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
