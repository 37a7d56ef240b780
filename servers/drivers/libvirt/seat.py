"""A place at one host: ask it something within a time limit, and hear our own faults."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import libvirt

from servers.drivers.base import Guest, HostRef
from servers.drivers.libvirt.connections import CONNECTIONS
from servers.drivers.libvirt.errors import fault, is_lost, unavailable
from servers.errors import DriverFault, GuestNotFound, HypervisorTimeout

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the deployment says of its libvirt hosts; times in seconds."""

    timeout_s: float = 30
    """How long a host may take to answer a question."""
    shutdown_s: float = 60
    """How long a guest may take to shut down before its power is cut."""
    knows: Callable[[str], bool] = field(default=lambda uri: False)
    """Whether a URI is one of the deployment's own hosts: what a host has written down is not believed alone."""
    shared_pools: frozenset[str] = frozenset()
    """Names of directory pools behind which all hosts see the same storage."""


class Seat:
    """A place at one libvirt host."""

    def __init__(self, host: HostRef, settings: Settings) -> None:
        self.ref = host
        self.settings = settings

    def at(self, host: HostRef) -> Seat:
        """Return a place at another host."""
        return Seat(host, self.settings)

    def at_noted(self, host: HostRef) -> Seat:
        """Return a place at a host that was read from a mark or a note; a URI can make libvirt run a program.

        Raises DriverFault where it is none of the deployment's hosts.
        """
        if not self.settings.knows(host.uri):
            raise DriverFault(
                message=f"Host {self.ref.name} names {host.name} as the other host of a move; no host has its URI."
            )
        return self.at(host)

    def ask(
        self,
        verb: str,
        question: Callable[[libvirt.virConnect], T],
        *,
        changes: bool = False,
        limit_s: float | None = None,
    ) -> T:
        """Return the answer to a question put to this host's connection, in a thread that is left behind when late.

        changes: the question changes something, so that a way lost in the middle leaves its outcome unknown.
        Raises HypervisorUnavailable, HypervisorTimeout, DriverFault, and what the question itself raises.
        """
        limit = self.settings.timeout_s if limit_s is None else limit_s
        reached = threading.Event()

        def answer() -> T:
            connection = CONNECTIONS.get(self.ref.uri)
            reached.set()
            return question(connection)

        try:
            return in_thread(f"{verb} at {self.ref.name}", answer).result(limit)
        except NotYet:
            if not reached.is_set() or not changes:
                raise unavailable(self.ref, f"no answer to {verb} in {limit:g} s") from None
            raise HypervisorTimeout(host=self.ref.name, verb=verb, limit_s=f"{limit:g}") from None
        except libvirt.libvirtError as error:
            if not reached.is_set():
                raise unavailable(self.ref, error) from error
            if changes and is_lost(error):
                raise HypervisorTimeout(host=self.ref.name, verb=verb, limit_s=f"{limit:g}") from error
            raise fault(self.ref, error, asked=not changes) from error

    def missing(self, guest: Guest) -> GuestNotFound:
        """Return the fault for a guest that is not defined here."""
        return GuestNotFound(guest=guest.name, host=self.ref.name)


def in_thread(name: str, call: Callable[[], T]) -> Future[T]:
    """Return the outcome-to-be of a call in a thread of its own, which does not keep the process alive."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - carried to whoever asks for the result
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome


def domain_of(connection: libvirt.virConnect, guest: UUID) -> libvirt.virDomain | None:
    """Return the guest's domain, None where it is not defined."""
    try:
        return connection.lookupByUUIDString(str(guest))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
