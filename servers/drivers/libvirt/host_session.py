"""A session with one host: ask it something within a time limit, and hear our own faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

import libvirt
import structlog

from servers import clock
from servers.drivers.base import LOOKING, Fence, Guest, HostRef
from servers.drivers.libvirt.connections import CONNECTIONS
from servers.drivers.libvirt.errors import fault, is_lost, note, unavailable
from servers.drivers.libvirt.own_thread import OwnThread
from servers.errors import (
    BelongsToAnother,
    DriverFault,
    GuestNotFound,
    HypervisorTimeout,
    HypervisorUnavailable,
)

log = structlog.get_logger(__name__)

LOOKS, LOOK_AGAIN_S = 3, 1.0
"""How often, and after how long, something that goes on is looked at again when the question failed."""
C = TypeVar("C")
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


class HostSession:
    """A session with one libvirt host, taken in somebody's name."""

    def __init__(self, host: HostRef, settings: Settings, fence: Fence = LOOKING) -> None:
        self.ref = host
        self.settings = settings
        self.fence = fence

    @property
    def owner(self) -> str:
        """The UUID that what is made here carries."""
        return str(self.fence.owner)

    def at(self, host: HostRef) -> HostSession:
        """Return a place at another host, in the same name."""
        return HostSession(host, self.settings, self.fence)

    def at_sidecar(self, host: HostRef) -> HostSession:
        """Return a session with a host that was read from metadata or a sidecar; a URI can make libvirt run a program.

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

        changes: the question changes something. It is put when the fence has been proven, here and now; a way lost in
        the middle leaves its outcome unknown.
        Raises HypervisorUnavailable, HypervisorTimeout, DriverFault, LeaseLost, and what the question itself raises.
        """
        limit = self.settings.timeout_s if limit_s is None else limit_s
        thread, left = self._put(verb, question, limit, changes=changes)
        try:
            return thread.answer(left)
        except TimeoutError:
            if not changes:
                raise unavailable(self.ref, f"no answer to {verb} in {limit:g} s") from None
            raise self.unknown(verb, limit) from None
        except libvirt.libvirtError as error:
            if changes and is_lost(error):
                note(self.ref, error)
                raise self.unknown(verb, limit) from error
            raise fault(self.ref, error, asked=not changes) from error

    def see(self, verb: str, question: Callable[[libvirt.virConnect], T]) -> T:
        """Return the answer to a question about what goes on here already.

        A question that fails is not the fate of what was asked about: it is put again, and then nobody knows.
        Raises HypervisorTimeout, and what the question itself raises.
        """
        limit = self.settings.timeout_s
        end = time.monotonic() + limit
        for left in reversed(range(LOOKS)):
            try:
                thread, remaining = self._put(verb, question, limit, changes=False)
                return thread.answer(remaining)
            except (libvirt.libvirtError, HypervisorUnavailable, TimeoutError) as error:
                if not left or time.monotonic() > end:
                    raise self.unknown(verb, limit) from error
                clock.sleep(LOOK_AGAIN_S)
        raise self.unknown(verb, limit)

    def _put(
        self, verb: str, question: Callable[[libvirt.virConnect], T], limit: float, *, changes: bool
    ) -> tuple[OwnThread[libvirt.virConnect, T], float]:
        """Put a question; return it with the time that is left for its answer. Raises HypervisorUnavailable, LeaseLost."""
        log.debug("driver.call", verb=verb, host=self.ref.name, changes=changes)
        thread = OwnThread(
            f"{verb} at {self.ref.name}", lambda: nullcontext(CONNECTIONS.get(self.ref.uri)), question
        )
        begun = time.monotonic()
        try:
            self.reach(thread, verb, limit)
            left = max(limit - (time.monotonic() - begun), 0)
            if changes:
                self.fence.prove()
            thread.put()
        finally:
            thread.leave()
        return thread, left

    def reach(self, thread: OwnThread[C, T], verb: str, limit_s: float | None = None) -> None:
        """Wait until there is a way for the thread. Raises HypervisorUnavailable where there is none in time."""
        limit = self.settings.timeout_s if limit_s is None else limit_s
        try:
            thread.reach(limit)
        except TimeoutError:
            raise unavailable(self.ref, f"no answer to {verb} in {limit:g} s") from None
        except libvirt.libvirtError as error:
            raise unavailable(self.ref, error) from error

    def unknown(self, verb: str, limit_s: float | None = None) -> HypervisorTimeout:
        """Return the fault that says that nobody knows what became of it."""
        limit = self.settings.timeout_s if limit_s is None else limit_s
        return HypervisorTimeout(host=self.ref.name, verb=verb, limit_s=f"{limit:g}")

    def missing(self, guest: Guest) -> GuestNotFound:
        """Return the fault for a guest that is not defined here."""
        return GuestNotFound(guest=guest.name, host=self.ref.name)

    def require_own(self, guest: Guest, owner: str) -> None:
        """Raise BelongsToAnother unless `owner` is ours; an older version has left none."""
        if owner and owner != self.owner:
            raise BelongsToAnother(host=self.ref.name, guest=guest.name, owner=owner, asked=self.fence.owner)


def domain_of(connection: libvirt.virConnect, guest: UUID) -> libvirt.virDomain | None:
    """Return the guest's domain, None where it is not defined."""
    try:
        return connection.lookupByUUIDString(str(guest))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
