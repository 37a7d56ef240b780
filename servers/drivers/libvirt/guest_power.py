"""Letting a domain run or stand still."""

from __future__ import annotations

import libvirt

from servers.drivers.base import Guest, Power
from servers.drivers.libvirt import guest_presence
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.guest_presence import Presence
from servers.drivers.libvirt.host_session import HostSession
from servers.errors import DriverFault
from servers.states import PowerState


class LibvirtPower(Power):
    """The power of the guests of one host. A guest that is in the middle of somebody's move is refused."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def power_off(self, guest: Guest) -> PowerState:
        standing.require(self.session, guest, standing.look(self.session, "power_off", guest), None)
        return standing.shut_down(self.session, "power_off", guest, None)

    def pause(self, guest: Guest) -> PowerState:
        if self._alive("pause", guest) is PowerState.RUNNING:
            standing.act(self.session, "pause", guest, libvirt.virDomain.suspend, None)
        return standing.see(self.session, "pause", guest).state

    def unpause(self, guest: Guest) -> PowerState:
        if self._alive("unpause", guest) is PowerState.PAUSED:
            if guest_presence.ask(self.session, guest) is not Presence.ALIVE:
                raise DriverFault(message=f"A part of guest {guest.name} is on another host, or on its way.")
            self.session.fence.prove_alone(guest, self.session.ref.name)
            standing.act(self.session, "unpause", guest, libvirt.virDomain.resume, None)
        return standing.see(self.session, "unpause", guest).state

    def _alive(self, verb: str, guest: Guest) -> PowerState:
        """Return how the guest runs. Raises GuestNotFound, BelongsToAnother; DriverFault where it is off."""
        now = standing.require(self.session, guest, standing.look(self.session, verb, guest), None)
        if not now.alive:
            raise DriverFault(message=f"Guest {guest.name} is off on host {self.session.ref.name}.")
        return now.state
