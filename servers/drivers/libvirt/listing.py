"""All guests of a host. Each is looked at for itself: one that is odd, or hangs, keeps none of the others untold."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from uuid import UUID

import libvirt
import structlog

from servers.drivers.base import FoundGuest
from servers.drivers.libvirt import describing
from servers.drivers.libvirt.errors import MAX_REASON_CHARS, ignore_libvirt_errors, is_gone, is_lost
from servers.drivers.libvirt.own_thread import OwnThread
from servers.errors import printable
from servers.states import PowerState

log = structlog.get_logger(__name__)

LATE_S = 5.0
"""How long a guest may keep the others waiting: libvirt asks qemu what it does, and qemu may hang over its storage."""
MOST_LATE = 3
"""After so many only the least is asked of the others: libvirt answers five questions of one connection at a time."""
LATE = f"no answer in {LATE_S:g} s"
NOT_ASKED = "it was not asked for more, since others on its host did not answer"


def all_guests(connection: libvirt.virConnect, host: str) -> list[FoundGuest]:
    """Return every guest that is defined on the host, in the order of their names."""
    guests: list[FoundGuest] = []
    late = 0
    for domain in connection.listAllDomains():
        with ignore_libvirt_errors(libvirt.VIR_ERR_NO_DOMAIN):  # it was removed while it was looked at
            seen = look(connection, domain) if late < MOST_LATE else least(domain, NOT_ASKED)
            late += seen.unread == LATE
            guests.append(seen)
            if seen.unread:
                log.warning("libvirt.guest_unread", host=host, guest=seen.name, reason=seen.unread)
    return sorted(guests, key=lambda guest: guest.name)


def look(connection: libvirt.virConnect, domain: libvirt.virDomain) -> FoundGuest:
    """Return a guest as far as it can be read, and in time."""
    try:
        thread = OwnThread(
            "look at a guest", nullcontext, lambda _: describing.seen_guest(connection, domain)
        )
        thread.put()
        return thread.answer(LATE_S)
    except TimeoutError:
        return least(domain, LATE)
    except libvirt.libvirtError as error:
        if is_lost(error) or is_gone(error):
            raise
        return least(domain, str(error))


def least(domain: libvirt.virDomain, why: str) -> FoundGuest:
    """Return which guest it is, and how, if not even that is odd."""
    try:
        return replace(describing.glimpse(domain), unread=printable(why, MAX_REASON_CHARS))
    except libvirt.libvirtError as error:
        if is_lost(error) or is_gone(error):
            raise
        state = PowerState.NOSTATE
        return FoundGuest(UUID(domain.UUIDString()), describing.name(domain), state, unread=why)
