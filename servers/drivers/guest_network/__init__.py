"""The network of a guest, in the format in which the guest itself keeps it. Pure: nothing here speaks to a host."""

from __future__ import annotations

from servers.drivers.guest_network.base import Format, GuestFile, Hop, Interface, Unrenderable
from servers.drivers.guest_network.ifupdown import Ifupdown
from servers.drivers.guest_network.interfaces import Survey, match
from servers.drivers.guest_network.netplan import Netplan
from servers.drivers.guest_network.network_manager import NetworkManager
from servers.drivers.guest_network.networkd import Networkd

FORMATS: tuple[type[Format], ...] = (NetworkManager, Netplan, Networkd, Ifupdown)
"""The first whose probe succeeds in the guest is the one in charge: netplan writes for the two beside it."""

__all__ = ["FORMATS", "Format", "GuestFile", "Hop", "Interface", "Survey", "Unrenderable", "match"]
