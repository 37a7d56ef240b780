"""Letting a simulated guest run or stand still."""

from __future__ import annotations

import sqlite3

from servers.drivers.base import Guest, Power
from servers.drivers.simulated import guests, jobs, owners
from servers.drivers.simulated.host_session import HostSession
from servers.drivers.simulated.store import seconds
from servers.errors import DriverFault
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

    def pause(self, guest: Guest) -> PowerState:
        with self.asked("pause"), self.truth() as db:
            if self._alive(db, guest) is PowerState.RUNNING:
                self.fence.prove()
                guests.set_power(db, self.name, guest.uuid, PowerState.PAUSED, seconds())
            return PowerState.PAUSED

    def unpause(self, guest: Guest) -> PowerState:
        with self.asked("unpause"):
            with self.truth() as db:
                is_paused = self._alive(db, guest) is PowerState.PAUSED
            if is_paused:
                self.fence.prove_alone(guest, self.ref.name)  # asks other hosts: outside of the transaction
                with self.truth() as db:
                    self._alive(db, guest)
                    db.execute(
                        "UPDATE guest SET power_state = ?, running_since = ? WHERE host = ? AND uuid = ?",
                        (PowerState.RUNNING, seconds(), self.name, str(guest.uuid)),
                    )
            return PowerState.RUNNING

    def _alive(self, db: sqlite3.Connection, guest: Guest) -> PowerState:
        """Return whether the guest runs or is paused. Raises GuestNotFound, BelongsToAnother; DriverFault where it is off."""
        here = guests.defined(db, self.name, guest)
        self.check_owner(owners.of_guest(here), guest)
        if not guests.is_alive(here):
            raise DriverFault(message=f"Guest {guest.name} is off on host {self.ref.name}.")
        return PowerState(here["power_state"])
