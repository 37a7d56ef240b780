"""Long work in a thread of its own, with news about once a second."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

import libvirt

from servers.drivers.libvirt.errors import fault
from servers.drivers.libvirt.seat import Seat, in_thread

POLL_S = 1.0
T = TypeVar("T")


def watched(seat: Seat, name: str, work: Callable[[], T], report: Callable[[], object]) -> T:
    """Return what the work returns. What `report` raises passes through, and leaves the work behind.

    Raises DriverFault, HypervisorUnavailable for what libvirt says of this host.
    """
    outcome = in_thread(name, work)
    while not wait([outcome], POLL_S).done:
        report()
    try:
        return outcome.result()
    except libvirt.libvirtError as error:
        raise fault(seat.ref, error) from error
