"""Starting, stopping and removing a domain."""

from __future__ import annotations

import libvirt

from servers.drivers.libvirt import definitions, describing
from servers.drivers.libvirt.errors import AGENT_SILENT, COMMAND_FAILED, ignore_libvirt_errors
from servers.states import PowerState

UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
SHUTDOWN_UNSUPPORTED = (
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


def cut(domain: libvirt.virDomain) -> None:
    """Cut the domain's power, unless it has just gone by itself."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_OPERATION_INVALID):
        domain.destroy()


def undefine(domain: libvirt.virDomain) -> None:
    """Remove a definition with all that libvirt keeps for it."""
    domain.undefineFlags(UNDEFINE)


def ask_to_stop(domain: libvirt.virDomain) -> bool:
    """Ask the guest's agent, else press the power button; return False where the guest is deaf to both."""
    with ignore_libvirt_errors(*SHUTDOWN_UNSUPPORTED):
        if definitions.has_agent(definitions.parse(domain.XMLDesc()), running=True):
            with ignore_libvirt_errors(*SHUTDOWN_UNSUPPORTED):
                domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT)
                return True
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
        return True
    return False
