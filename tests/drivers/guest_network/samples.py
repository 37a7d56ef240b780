"""Network information as an engine hands it over, and guests as they answer a survey."""

from __future__ import annotations

from servers.drivers.base import Nic, Route
from servers.drivers.guest_network import Interface, Survey, match
from servers.drivers.guest_network.interfaces import Link

MAC = "52:54:00:00:00:01"
SECOND_MAC = "52:54:00:00:00:02"

FULL = Nic(
    MAC,
    "blue",
    ("192.0.2.10/24", "192.0.2.11/24", "2001:db8::10/64"),
    "192.0.2.1",
    (Route("198.51.100.0/24", "192.0.2.2"), Route("2001:db8:1::/48", "2001:db8::2")),
    ("192.0.2.53", "2001:db8::53"),
)
SIX = Nic(SECOND_MAC, "green", ("2001:db8:2::10/64",), "fe80::1")
FAR = Nic(SECOND_MAC, "rented", ("203.0.113.7/32",), "198.51.100.1")
"""One address, and a gateway outside of it: as rented machines have it."""

LINKS = (Link("lan0", MAC, hardware=True), Link("lan1", SECOND_MAC, hardware=True))


def interfaces(*nics: Nic) -> tuple[Interface, ...]:
    """Return the interfaces of a guest that calls them lan0 and lan1."""
    return match(nics, Survey(LINKS))
