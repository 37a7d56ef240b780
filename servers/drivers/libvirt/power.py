"""Starting and stopping a domain."""

from __future__ import annotations

import time

import libvirt

from servers.drivers.libvirt import definitions, describing
from servers.drivers.libvirt.errors import AGENT_SILENT, COMMAND_FAILED, forgiven
from servers.states import PowerState

LOOK_S = 0.5
DEAF = (
    libvirt.VIR_ERR_OPERATION_INVALID,
    *AGENT_SILENT,
    COMMAND_FAILED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_INTERNAL_ERROR,  # "End of file from agent socket": it went before it had answered
)
"""How libvirt says that the guest cannot be asked to shut down; then its power is cut."""


def state(domain: libvirt.virDomain) -> PowerState:
    """Return the power state of a domain."""
    return describing.power_state(domain)


def start(domain: libvirt.virDomain) -> PowerState:
    """Start the domain unless it runs; return its power state."""
    if not domain.isActive():
        domain.create()
    return state(domain)


def stop(domain: libvirt.virDomain, patience_s: float) -> PowerState:
    """Shut the domain down, by agent or power button, and cut its power when it takes too long."""
    end = time.monotonic() + patience_s
    if domain.isActive() and patience_s:
        with forgiven(*DEAF):
            _ask_to_stop(domain)
            while domain.isActive() and time.monotonic() < end:
                time.sleep(LOOK_S)
    if domain.isActive():
        with forgiven(libvirt.VIR_ERR_OPERATION_INVALID):  # it has just gone by itself
            domain.destroy()
    return state(domain)


def _ask_to_stop(domain: libvirt.virDomain) -> None:
    """Ask the guest's agent, else press the power button."""
    if definitions.has_agent(definitions.parse(domain.XMLDesc()), running=True):
        with forgiven(*DEAF):
            domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
            return
    domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
