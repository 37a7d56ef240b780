"""Pulling a guest's network cables and plugging them in again, from outside."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import libvirt
from lxml import etree

from servers.drivers.base import Guest
from servers.drivers.libvirt import definitions
from servers.drivers.libvirt.definitions import Node
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.drivers.limits import MAC
from servers.errors import AgentUnavailable, printable

PULLED_S = 2
"""How long the cables are out: long enough for a guest to notice, and to ask for its addresses again."""
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


def reset(session: HostSession, guest: Guest, instead_of: AgentUnavailable) -> list[dict[str, Any]]:
    """Take the links of a running guest down and up; return its interfaces.

    An interface whose definition says that its cable is out stays so. What a worker that died has left down comes up
    when the next one asks again. Raises `instead_of` where the guest does not run or has no interface.
    """

    def look(connection: libvirt.virConnect) -> tuple[libvirt.virDomain, list[Node]]:
        domain = domain_of(connection, guest.uuid)
        if domain is None:
            raise session.missing(guest)
        interfaces = _plugged(domain) if domain.isActive() else []
        if not interfaces:
            raise instead_of
        return domain, interfaces

    def pull(connection: libvirt.virConnect) -> list[dict[str, Any]]:
        domain, interfaces = look(connection)
        with ExitStack() as plugs:
            for interface in interfaces:
                plugs.callback(_set, domain, interface, "up")
                _set(domain, interface, "down")
            time.sleep(PULLED_S)
        return [{"mac": _mac(interface)} for interface in interfaces]

    session.ask("reset_network", look)
    return session.ask("reset_network", pull, changes=True, limit_s=session.settings.timeout_s + PULLED_S)


def _plugged(domain: libvirt.virDomain) -> list[Node]:
    """Return the interfaces whose cable is meant to be in, as the running guest has them."""
    kept = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if domain.isPersistent() else "<domain/>"
    pulled = {
        _mac(interface)
        for interface in definitions.parse(kept).iterfind("devices/interface")
        if interface.find("link[@state='down']") is not None
    }
    running = definitions.parse(domain.XMLDesc()).iterfind("devices/interface")
    return [interface for interface in running if _mac(interface) not in pulled]


def _set(domain: libvirt.virDomain, interface: Node, state: str) -> None:
    link = interface.find("link")
    if link is None:
        link = etree.SubElement(interface, "link")
    link.set("state", state)
    domain.updateDeviceFlags(etree.tostring(interface, encoding="unicode"), LIVE)


def _mac(interface: Node) -> str:
    mac = interface.find("mac")
    return "" if mac is None else printable(str(mac.get("address", "")), MAC)
