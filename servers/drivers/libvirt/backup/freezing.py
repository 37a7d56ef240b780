"""Freezing a guest's file systems through its agent for a moment, and thawing them whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from servers.drivers.libvirt.errors import AGENT_SILENT, ignore_libvirt_errors, is_lost
from servers.errors import DriverFault

FREEZE_S = 30
"""How long an agent may take: what the guest has not written yet is written first."""
THAW_TRIES, THAW_AGAIN_S = 3, 1.0
AGENT_GONE = (
    *AGENT_SILENT,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
)
"""How libvirt says that no agent answers: there is none, it hangs, or the guest stands still."""


def can_freeze(domain: libvirt.virDomain) -> bool:
    """Return whether an agent answers. A freeze that is sent to one that hangs might come true at any later time."""
    try:
        domain.getTime()
    except libvirt.libvirtError as error:
        if is_lost(error):
            raise
        return error.get_error_code() not in AGENT_GONE  # it may answer that it cannot tell the time
    return True


@contextmanager
def frozen(domain: libvirt.virDomain) -> Iterator[bool]:
    """Keep the file systems frozen within; yield whether they are. An agent may refuse. Raises DriverFault."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_SUPPORT):
        domain.agentSetResponseTimeout(FREEZE_S)
    is_frozen = _freeze(domain)
    try:
        yield is_frozen
    finally:
        if is_frozen:
            thaw(domain)


def _freeze(domain: libvirt.virDomain) -> bool:
    try:
        return bool(domain.fsFreeze() > 0)
    except libvirt.libvirtError as error:
        if is_lost(error) or error.get_error_code() in AGENT_GONE:
            thaw(domain)
            raise
        return False  # that is the agent's own answer


def thaw(domain: libvirt.virDomain) -> None:
    """Thaw the guest's file systems; a guest that has stopped needs none of it. Raises DriverFault."""
    for left in reversed(range(THAW_TRIES)):
        if not domain.isActive():
            return
        try:
            domain.fsThaw()
        except libvirt.libvirtError as error:
            if is_lost(error):
                raise
            if not left:
                message = f"The file systems of {domain.name()} may be frozen, and its agent does not thaw them: {error}"
                raise DriverFault(message=message) from error
            time.sleep(THAW_AGAIN_S)
        else:
            return
