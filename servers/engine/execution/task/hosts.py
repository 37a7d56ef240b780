"""The hosts of an attempt: each is looked up once; their drivers act in its name, and as long as it has the lease."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

import structlog

from servers.drivers.base import Ability, Driver, FoundGuest, HostRef
from servers.engine.execution import ownership, single_instance
from servers.engine.execution.fence import ActionFence
from servers.engine.execution.task.attempt import LONG_ENOUGH
from servers.engine.execution.task.journal import Journal
from servers.errors import BelongsToAnother, ComputeHostNotFound, Later
from servers.fleet.drivers import driver_of, ref
from servers.fleet.polling import ask_until
from servers.models import Host

log = structlog.get_logger(__name__)

A = TypeVar("A", bound=Ability)


class InTime:
    """An ability of a host whose answers somebody waits for until `until`, by time.monotonic().

    Each verb raises what the ability raises, and Later when the time is over: the question goes on, and its answer is
    lost. It raises HypervisorUnavailable when the host hangs over an earlier question for which nobody waits any more.
    """

    def __init__(self, ability: Ability, host: str, until: float) -> None:
        self._ability, self._host, self._until = ability, host, until

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            try:
                return ask_until(
                    self._host, partial(getattr(self._ability, verb), *args, **kwargs), self._until, "check"
                )
            except TimeoutError as late:
                raise Later(reason=LONG_ENOUGH, delay_s=0) from late

        return ask


class Hosts(Journal):
    """Which hosts there are for an attempt, and what it may do on them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hosts: dict[str, Host] = {}
        self.drivers: dict[tuple[str, UUID], Driver] = {}
        self.owners: dict[int | None, UUID] = {}

    def recorded(self, name: str) -> Host:
        """Return the host as this attempt has first read it. Raises ComputeHostNotFound."""
        if name not in self.hosts:
            found = Host.objects.filter(name=name).first()
            if found is None:
                raise ComputeHostNotFound(host=name)
            self.hosts[name] = found
        return self.hosts[name]

    def host(self, name: str) -> HostRef:
        """Return how a driver reaches the host. Raises ComputeHostNotFound."""
        return ref(self.recorded(name))

    def driver(self, host: str) -> Driver:
        """Return the host's driver, fenced by this attempt. Raises ComputeHostNotFound, NotSupported."""
        fence = self.fence()
        key = (host, fence.owner)
        if key not in self.drivers:
            self.drivers[key] = driver_of(self.host(host), fence)
        return self.drivers[key]

    def ability(self, kind: type[A], host: str) -> A:
        """Return the host's ability of the kind, which the step that runs has to name. Raises `kind.lacking`."""
        if self.step is not None and kind not in self.step.takes:
            raise TypeError(
                f"step {self.step.name} of {self.definition.slug} does not say that it takes {kind.__name__}"
            )
        found: A | None = getattr(self.driver(host), kind.attribute)
        if found is None:
            raise kind.lacking(host)
        return found if self.until is None else cast(A, InTime(found, host, self.until))

    def find_guest(self, host: str) -> FoundGuest | None:
        """Return the guest as it is on `host` at this moment. Raises HypervisorUnavailable, HypervisorTimeout."""
        return self.driver(host).find_guest(self.row.server_id)

    def fence(self) -> ActionFence:
        """Return the fence of this attempt; its owner changes when a step opens a migration."""
        of_migration = self.row.migration_id
        if of_migration not in self.owners:
            self.owners[of_migration] = ownership.owner_of(
                self.row, makes_server=self.definition.makes_server
            )
        return ActionFence(self.owners[of_migration], self.prove, self.prove_alone)

    def prove_alone(self, host: str) -> None:
        """Prove the lease, and check that no other host runs the guest which is to be started on `host`.

        Raises LeaseLost, GuestOnTwoHosts, HypervisorUnavailable.
        """
        self.prove()
        self.alone_at(host)

    def alone_at(self, *hosts: str) -> None:
        """Check that the guest runs on no other host. Raises GuestOnTwoHosts, HypervisorUnavailable."""
        self.forget_facts()  # where the guest may run is asked for as it is now
        single_instance.refuse_elsewhere(self.server_row, set(hosts), self._must_answer())

    def _must_answer(self) -> set[str]:
        """Return the hosts that may run the guest, by the records; while one is silent, it is not started.

        Hosts that an operator has declared dead in a judgement are left out.
        """
        arriving = {step.name for step in self.definition.steps if step.arrives} & set(self.row.effective)
        server = self.server_row
        hosts = {self.source, server.host.name if server.host else ""}
        if arriving and self.row.migration_id is not None:
            hosts.add(self._migration().dest_compute)
        answered_for = {name for said in self.row.judgements for name in said.get("dead_hosts", [])}
        return hosts - {""} - answered_for

    def clear_leftover(self, fault: BelongsToAnother) -> None:
        """Remove what the owner in `fault` has left of the guest; raise `fault` when its work is not over."""
        owner = UUID(fault.facts["owner"])
        if not ownership.is_over(owner):
            raise fault
        fence = ActionFence(owner, self.prove, self.prove_alone)
        driver_of(self.host(fault.facts["host"]), fence).disown(self.guest)
        log.info(
            "action.leftover_cleared", action=str(self.row.pk), host=fault.facts["host"], owner=str(owner)
        )
