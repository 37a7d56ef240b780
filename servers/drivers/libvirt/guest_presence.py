"""Where a guest is, asked of one host: not at all, off, arriving, alive, or divided by a post-copy that failed."""

from __future__ import annotations

import time
from contextlib import suppress
from enum import Enum
from uuid import UUID

import libvirt

from servers import clock
from servers.drivers.base import Guest, HostRef, JobKind
from servers.drivers.libvirt import job
from servers.drivers.libvirt.errors import ignore_libvirt_errors
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.errors import GuestOnTwoHosts, HypervisorTimeout, HypervisorUnavailable

LOOK_S = 0.5
POSTCOPY_FAILED_REASONS = frozenset({libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED})


class Presence(Enum):
    ABSENT = "absent"
    OFF = "off"
    ARRIVING = "arriving"
    ALIVE = "alive"
    LEAVING = "leaving"
    """Alive, and on its way to another host."""
    POSTCOPY_FAILED = "postcopy failed"
    """A part of its memory is on another host, and the way between them is lost."""


def presence(connection: libvirt.virConnect, guest: UUID) -> Presence:
    """Return how the guest is here. It may go while it is looked at: a move that ends undefines it."""
    with ignore_libvirt_errors(libvirt.VIR_ERR_NO_DOMAIN):
        domain = domain_of(connection, guest)
        return Presence.ABSENT if domain is None else _presence(domain)
    return Presence.ABSENT


def _presence(domain: libvirt.virDomain) -> Presence:
    if not domain.isActive():
        return Presence.OFF
    state, reason = domain.state()
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in POSTCOPY_FAILED_REASONS:
        return Presence.POSTCOPY_FAILED
    stats = job.statistics(domain)
    if job.is_incoming(stats):
        return Presence.ARRIVING
    return Presence.LEAVING if job.kind(stats) is JobKind.LIVE_MIGRATION else Presence.ALIVE


def ask(session: HostSession, guest: Guest) -> Presence:
    """Ask a host how the guest is there. Raises HypervisorUnavailable where it does not say."""
    return session.ask("find_guest", lambda connection: presence(connection, guest.uuid))


def see(session: HostSession, guest: Guest) -> Presence:
    """See how a guest that is on its way is at a host. Raises HypervisorTimeout when that cannot be told."""
    return session.see("find_guest", lambda connection: presence(connection, guest.uuid))


def settled(session: HostSession, guest: Guest, passing: Presence, limit_s: float) -> Presence:
    """See how the guest is at a host when it is not `passing` any more; for at most so long it is waited for."""
    end = time.monotonic() + limit_s
    while (now := see(session, guest)) is passing and time.monotonic() < end:
        clock.sleep(LOOK_S)
    return now


def refuse_if_alive(session: HostSession, guest: Guest, here: HostRef) -> None:
    """Raise GuestOnTwoHosts where the guest is alive at another host.

    What a host's silence means is not decided here: that is for the fence, which knows what may have begun there.
    """
    with suppress(HypervisorUnavailable, HypervisorTimeout):
        if ask(session, guest) not in {Presence.ABSENT, Presence.OFF}:
            raise on_two_hosts(guest, session.ref, here)


def on_two_hosts(guest: Guest, *hosts: HostRef) -> GuestOnTwoHosts:
    """Return the fault that asks for a person's decision."""
    return GuestOnTwoHosts(guest=guest.name, hosts=" and ".join(host.name for host in hosts))
