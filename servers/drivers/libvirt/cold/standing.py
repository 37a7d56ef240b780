"""How a guest stands on a host that has it defined: whether it runs, and to whose move it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import libvirt

from servers import clock
from servers.drivers.base import Guest
from servers.drivers.libvirt import domain_metadata, power
from servers.drivers.libvirt.domain_metadata import Direction, MigrationMetadata
from servers.drivers.libvirt.guest_presence import on_two_hosts, refuse_if_alive
from servers.drivers.libvirt.host_session import HostSession, domain_of
from servers.errors import DriverFault
from servers.states import PowerState

LOOK_S = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class Standing:
    """What a host says of a guest that it has defined."""

    state: PowerState
    alive: bool
    metadata: MigrationMetadata | None


def of(domain: libvirt.virDomain) -> Standing:
    return Standing(power.state(domain), bool(domain.isActive()), domain_metadata.kept(domain))


def look(session: HostSession, verb: str, guest: Guest) -> Standing | None:
    """Ask how the guest stands, None where it is not defined."""

    def question(connection: libvirt.virConnect) -> Standing | None:
        domain = domain_of(connection, guest.uuid)
        return None if domain is None else of(domain)

    return session.ask(verb, question)


def require(session: HostSession, guest: Guest, standing: Standing | None, way: Direction | None) -> Standing:
    """Return how the guest stands, where it is ours to change: with a way, it has come, or gone, by this very move.

    Raises GuestNotFound, BelongsToAnother, DriverFault. What an older version has marked belongs to whoever asks.
    """
    if standing is None:
        raise session.missing(guest)
    if standing.metadata is not None:
        session.require_own(guest, standing.metadata.owner)
    if way is not None and (standing.metadata is None or standing.metadata.way is not way):
        raise strange(session, guest, standing, way)
    return standing


def strange(session: HostSession, guest: Guest, standing: Standing, way: Direction) -> DriverFault:
    """Return the fault for a guest that is here, and not by the move that is asked about."""
    if way is Direction.INCOMING:
        return on_two_hosts(guest, session.ref)
    if standing.metadata is not None and standing.metadata.way is Direction.ENDED:
        return DriverFault(
            message=f"The move of guest {guest.name} from host {session.ref.name} was taken back."
        )
    return DriverFault(message=f"Guest {guest.name} was not moved away from host {session.ref.name}.")


def act(
    session: HostSession,
    verb: str,
    guest: Guest,
    change: Callable[[libvirt.virDomain], T],
    way: Direction | None,
    *,
    limit_s: float | None = None,
) -> T:
    """Change something of the guest's domain; directly before that it is asked once more whose it is.

    Raises what `require` raises.
    """

    def question(connection: libvirt.virConnect) -> T:
        domain = domain_of(connection, guest.uuid)
        require(session, guest, None if domain is None else of(domain), way)
        return change(domain)

    return session.ask(verb, question, changes=True, limit_s=limit_s)


def start(session: HostSession, verb: str, guest: Guest, peer: HostSession, way: Direction) -> PowerState:
    """Start the guest, which runs nowhere else; return its power state. Raises GuestOnTwoHosts."""
    refuse_if_alive(peer, guest, session.ref)
    session.fence.prove_alone(guest, session.ref.name)
    return act(session, verb, guest, power.start, way)


def shut_down(session: HostSession, verb: str, guest: Guest, way: Direction | None) -> PowerState:
    """Ask the guest to shut down, and cut its power when it takes too long; return its power state."""
    patience_s = session.settings.shutdown_s
    end = time.monotonic() + patience_s
    limit_s = patience_s + session.settings.timeout_s
    now = see(session, verb, guest)
    if not now.alive:
        return now.state
    if patience_s and act(session, verb, guest, power.ask_to_stop, way, limit_s=limit_s):
        while see(session, verb, guest).alive and time.monotonic() < end:
            clock.sleep(LOOK_S)
    if see(session, verb, guest).alive:
        act(session, verb, guest, power.cut, way)
    return see(session, verb, guest).state


def see(session: HostSession, verb: str, guest: Guest) -> Standing:
    """See how the guest stands while something is done to it. Raises GuestNotFound, HypervisorTimeout."""

    def question(connection: libvirt.virConnect) -> Standing:
        domain = domain_of(connection, guest.uuid)
        if domain is None:
            raise session.missing(guest)
        return of(domain)

    return session.see(verb, question)


def forget(domain: libvirt.virDomain, owner: str) -> None:
    """Let the guest be at home here again; what is left of its metadata says that the move is over, to who comes late."""
    metadata = domain_metadata.kept(domain)
    if metadata is not None:
        domain.setAutostart(int(metadata.autostart))
        domain_metadata.write(domain, metadata.ended(owner), domain_metadata.everywhere(domain))
