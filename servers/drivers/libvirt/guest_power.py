"""Letting a domain run or stand still."""

from __future__ import annotations

from servers.drivers.base import Guest, Power
from servers.drivers.libvirt.cold import standing
from servers.drivers.libvirt.host_session import HostSession
from servers.states import PowerState


class LibvirtPower(Power):
    """The power of the guests of one host. A guest that is in the middle of somebody's move is refused."""

    def __init__(self, session: HostSession) -> None:
        self.session = session

    def power_off(self, guest: Guest) -> PowerState:
        standing.require(self.session, guest, standing.look(self.session, "power_off", guest), None)
        return standing.shut_down(self.session, "power_off", guest, None)
