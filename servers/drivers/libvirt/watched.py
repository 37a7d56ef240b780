"""Long work in a thread of its own, with news about once a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import libvirt

from servers.drivers.libvirt.errand import Errand
from servers.drivers.libvirt.errors import fault
from servers.drivers.libvirt.seat import Seat

POLL_S = 1.0
C = TypeVar("C")
T = TypeVar("T")


def watched(
    seat: Seat,
    name: str,
    way: Callable[[], AbstractContextManager[C]],
    work: Callable[[C], T],
    report: Callable[[], object],
    *,
    changes: bool = False,
) -> T:
    """Return what the work returns. What `report` raises passes through, and leaves the work behind.

    Work that has not begun by then never begins. With `changes` the fence is proven directly before it does.
    Raises DriverFault, HypervisorUnavailable for what libvirt says of this host; LeaseLost.
    """
    errand = Errand(name, way, work)
    try:
        while not errand.is_reached(POLL_S):
            report()
        seat.reach(errand, name)
        if changes:
            seat.fence.prove()
        errand.put()
        while not errand.is_over(POLL_S):
            report()
    finally:
        errand.leave()
    try:
        return errand.answer()
    except libvirt.libvirtError as error:
        raise fault(seat.ref, error) from error
