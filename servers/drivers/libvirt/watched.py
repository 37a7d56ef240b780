"""Long work in a thread of its own, with news about once a second."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import libvirt

from servers.drivers.libvirt.errors import fault
from servers.drivers.libvirt.host_session import HostSession
from servers.drivers.libvirt.own_thread import OwnThread

POLL_S = 1.0
C = TypeVar("C")
T = TypeVar("T")


def watched(
    session: HostSession,
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
    thread = OwnThread(name, way, work)
    try:
        while not thread.is_reached(POLL_S):
            report()
        session.reach(thread, name)
        if changes:
            session.fence.prove()
        thread.put()
        while not thread.is_over(POLL_S):
            report()
    finally:
        thread.leave()
    try:
        return thread.answer()
    except libvirt.libvirtError as error:
        raise fault(session.ref, error) from error
