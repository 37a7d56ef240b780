"""Letting a simulated guest run or stand still."""

from __future__ import annotations

from servers.drivers.base import Guest, Power
from servers.drivers.simulated import guests, jobs, owners
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.store import seconds
from servers.states import PowerState


class SimulatedPower(HostSession, Power):
    """The power of the guests of one host. A guest that is in the middle of somebody's move is refused."""

    def power_off(self, guest: Guest) -> PowerState:
        with self.asked("power_off"), self.truth() as db:
            here = guests.defined(db, self.name, guest)
            self.check_owner(owners.of_guest(here), guest)
            if guests.is_alive(here):
                self.fence.prove()
                jobs.stop(db, self.name, guest.uuid, PowerState.SHUTDOWN, seconds())
            return PowerState(guests.defined(db, self.name, guest)["power_state"])
