"""How a guest stands on a host that has it defined: whether it runs, and to whose move it belongs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import libvirt

from servers import clock
from servers.drivers.base import Guest
from servers.drivers.libvirt import marks, power
from servers.drivers.libvirt.marks import Mark, Way
from servers.drivers.libvirt.seat import Seat, domain_of
from servers.drivers.libvirt.whereabouts import on_two_hosts, refuse_if_alive
from servers.errors import DriverFault
from servers.states import PowerState

LOOK_S = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class Standing:
    """What a host says of a guest that it has defined."""

    state: PowerState
    alive: bool
    mark: Mark | None


def of(domain: libvirt.virDomain) -> Standing:
    return Standing(power.state(domain), bool(domain.isActive()), marks.kept(domain))


def look(seat: Seat, verb: str, guest: Guest) -> Standing | None:
    """Ask how the guest stands, None where it is not defined."""

    def question(connection: libvirt.virConnect) -> Standing | None:
        domain = domain_of(connection, guest.uuid)
        return None if domain is None else of(domain)

    return seat.ask(verb, question)


def require(seat: Seat, guest: Guest, standing: Standing | None, way: Way | None) -> Standing:
    """Return how the guest stands, where it is ours to change: with a way, it has come, or gone, by this very move.

    Raises GuestNotFound, BelongsToAnother, DriverFault. What an older version has marked belongs to whoever asks.
    """
    if standing is None:
        raise seat.missing(guest)
    if standing.mark is not None:
        seat.require_own(guest, standing.mark.owner)
    if way is not None and (standing.mark is None or standing.mark.way is not way):
        raise strange(seat, guest, standing, way)
    return standing


def strange(seat: Seat, guest: Guest, standing: Standing, way: Way) -> DriverFault:
    """Return the fault for a guest that is here, and not by the move that is asked about."""
    if way is Way.FROM:
        return on_two_hosts(guest, seat.ref)
    if standing.mark is not None and standing.mark.way is Way.ENDED:
        return DriverFault(
            message=f"The move of guest {guest.name} from host {seat.ref.name} was taken back."
        )
    return DriverFault(message=f"Guest {guest.name} was not moved away from host {seat.ref.name}.")


def act(
    seat: Seat,
    verb: str,
    guest: Guest,
    change: Callable[[libvirt.virDomain], T],
    way: Way | None,
    *,
    limit_s: float | None = None,
) -> T:
    """Change something of the guest's domain; directly before that it is asked once more whose it is.

    Raises what `require` raises.
    """

    def question(connection: libvirt.virConnect) -> T:
        domain = domain_of(connection, guest.uuid)
        require(seat, guest, None if domain is None else of(domain), way)
        return change(domain)

    return seat.ask(verb, question, changes=True, limit_s=limit_s)


def start(seat: Seat, verb: str, guest: Guest, peer: Seat, way: Way) -> PowerState:
    """Start the guest, which runs nowhere else; return its power state. Raises GuestOnTwoHosts."""
    refuse_if_alive(peer, guest, seat.ref)
    seat.fence.prove_alone(guest, seat.ref.name)
    return act(seat, verb, guest, power.start, way)


def shut_down(seat: Seat, verb: str, guest: Guest, way: Way | None) -> PowerState:
    """Ask the guest to shut down, and cut its power when it takes too long; return its power state."""
    patience_s = seat.settings.shutdown_s
    end = time.monotonic() + patience_s
    limit_s = patience_s + seat.settings.timeout_s
    now = see(seat, verb, guest)
    if not now.alive:
        return now.state
    if patience_s and act(seat, verb, guest, power.ask_to_stop, way, limit_s=limit_s):
        while see(seat, verb, guest).alive and time.monotonic() < end:
            clock.sleep(LOOK_S)
    if see(seat, verb, guest).alive:
        act(seat, verb, guest, power.cut, way)
    return see(seat, verb, guest).state


def see(seat: Seat, verb: str, guest: Guest) -> Standing:
    """See how the guest stands while something is done to it. Raises GuestNotFound, HypervisorTimeout."""

    def question(connection: libvirt.virConnect) -> Standing:
        domain = domain_of(connection, guest.uuid)
        if domain is None:
            raise seat.missing(guest)
        return of(domain)

    return seat.see(verb, question)


def forget(domain: libvirt.virDomain, owner: str) -> None:
    """Let the guest be at home here again; what is left of its mark says that the move is over, to who comes late."""
    mark = marks.kept(domain)
    if mark is not None:
        domain.setAutostart(int(mark.autostart))
        marks.write(domain, mark.ended(owner), marks.everywhere(domain))
