"""Removing what is left of a guest on hosts where it is not, in its owner's name, after one more look."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from servers.drivers.base import Driver, FoundGuest
from servers.engine.execution.lease import Lease
from servers.engine.execution.ownership import owner_of
from servers.errors import DriverFault, LeaseLost, NotSupported, Unforeseen
from servers.fleet.drivers import driver_of, guest_of, ref
from servers.fleet.guest_location import ALIVE
from servers.inventory.reconciliation.differences import Finding
from servers.inventory.reconciliation.owing import mark_cleared
from servers.inventory.reconciliation.repairs import RepairFence, hold, let_go
from servers.models import ActionRecord, Host, Migration, Server
from servers.models.reconcile import CHANGED
from servers.states import MIGRATION_OVER, DifferenceKind


def discard(server_id: UUID, revision: int, finding: Finding) -> str:
    """Remove what a finding says is left on hosts; return the outcome, in words.

    The repair is an exclusive action of the server, and its record is ended whatever is raised. A guest with
    a process is never touched. Returns CHANGED when the action cannot begin, or its lease is lost. A
    DriverFault becomes the outcome; any other error is raised.
    """
    lease = hold(server_id, revision, finding)
    if lease is None:
        return CHANGED
    try:
        AT_HYPERVISOR[finding.kind](Removal(lease, finding))
    except LeaseLost:  # os-resetState requeued the record; no worker takes a repair
        return let_go(lease, None)
    except DriverFault as fault:
        return let_go(lease, fault)
    except Exception as error:
        let_go(lease, Unforeseen(message=str(error) or type(error).__name__))
        raise
    return let_go(lease, None)


class Removal:
    """What a finding says is to be removed, and access to the hosts concerned."""

    def __init__(self, lease: Lease, finding: Finding) -> None:
        self.lease = lease
        self.finding = finding
        self.guest = guest_of(Server.objects.get(pk=finding.server))

    def driver(self, host: str, owner: str = "") -> Driver:
        """Return a driver that changes the host in the name of `owner`, a UUID.

        An empty `owner` is the repair's own action record.
        """
        fence = RepairFence(self.lease, UUID(owner) if owner else self.lease.action)
        return driver_of(ref(Host.objects.get(name=host)), fence)

    def look(self, host: str) -> FoundGuest | None:
        """Return the guest as the host has it now, or None. Raises DriverFault when the host is silent."""
        return driver_of(ref(Host.objects.get(name=host))).find_guest(self.guest.uuid)

    def refuse_unless_as_seen(self, host: str, *, prepared: bool) -> None:
        """Raise DriverFault unless both hosts are as the finding says.

        The guest has to be defined at its home. On `host` there may be nothing any more, or the same as was
        found: prepared or not, of the same owner, and without a process.
        """
        home, there = self.look(self.finding.home), self.look(host)
        at_home = home is not None and not home.prepared_only
        same = there is None or (there.prepared_only is prepared and there.owner == self.finding.owner)
        if not at_home or not same or (there is not None and there.power_state in ALIVE):
            raise DriverFault(message=f"Guest {self.guest.name} is not any more where it was seen.")


def remove_prepared(removal: Removal) -> None:
    """Remove what a destination was prepared with: in its owner's name, or, without one, by `discard`.

    Raises DriverFault when hosts are not as the finding says, NotSupported when the driver cannot remove it.
    """
    (host,), owner = removal.finding.hosts, removal.finding.owner
    removal.refuse_unless_as_seen(host, prepared=True)
    driver = removal.driver(host, owner)
    if owner:
        driver.disown(removal.guest)
    elif driver.live_migration is None:
        raise NotSupported(host=host, verb="remove what was prepared")
    else:
        driver.live_migration.discard(removal.guest)


def remove_copy(removal: Removal) -> None:
    """Remove the copy that a cold move has left at its source or at its destination.

    Raises DriverFault when hosts are not as the finding says, or the migration is not over; NotSupported when
    the driver cannot remove it.
    """
    (host,), move = removal.finding.hosts, Migration.objects.get(pk=removal.finding.row)
    removal.refuse_unless_as_seen(host, prepared=False)
    cold = removal.driver(host, removal.finding.owner).cold_migration
    if cold is None:
        raise NotSupported(host=host, verb="remove a copy")
    if move.status not in MIGRATION_OVER:
        raise DriverFault(message=f"Migration {move.pk} goes on.")
    (cold.confirm if host == move.source_compute else cold.discard)(removal.guest)


def remove_what_was_not_undone(removal: Removal) -> None:
    """Give up what an ended action has left where no guest is defined, then record that nothing is left.

    Where the guest is defined, that is another finding. Raises LookupError for a finding without an action.
    """
    if removal.finding.action is None:
        raise LookupError("no action has left it")
    action = ActionRecord.objects.get(pk=removal.finding.action)
    owner = str(owner_of(action, makes_server=False))
    for host in removal.finding.hosts:
        found = removal.look(host)
        if found is None or found.prepared_only:
            removal.driver(host, owner).disown(removal.guest)
    mark_cleared(pk=action.pk)


AT_HYPERVISOR: dict[DifferenceKind, Callable[[Removal], None]] = {
    DifferenceKind.DESTINATION_LEFT: remove_prepared,
    DifferenceKind.COPY_LEFT: remove_copy,
    DifferenceKind.UNDO_LEFT: remove_what_was_not_undone,
}
"""The repairs that call a hypervisor, by kind of finding: they remove leftovers, not the guest."""
