"""Repairs of records: each locks its server and reads it again, and does nothing when the server has changed.

No repair starts, stops or moves a guest. A repair that calls a hypervisor (`leftovers`) is an exclusive
action of the server meanwhile, so that no move begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from servers import clock
from servers.actions.task import MoveAllocations
from servers.drivers.base import Guest
from servers.engine.accepting.request_context import new_request_id
from servers.engine.capacity import claims
from servers.engine.execution.lease import Lease, fenced_record
from servers.engine.records.changes import move_disks, take_server_edges, write_migration
from servers.errors import ActionFault, LeaseLost, NotSupported
from servers.inventory.reconciliation.differences import Finding, vm_edge
from servers.inventory.reconciliation.divergences import FAILED
from servers.microversions import NEWEST
from servers.models import ActionRecord, Allocation, Host, Migration, Server
from servers.models.reconcile import CHANGED, REPAIRED
from servers.states import OPEN_ACTION_STATUSES, DifferenceKind, PowerState

RECONCILE = "reconcile"
"""Slug, name, user and door of the action record of a repair. No caller can request this action."""


def repair(server_id: UUID, revision: int, findings: Sequence[Finding]) -> str:
    """Do the safe repairs of one server in one transaction; return REPAIRED, or CHANGED for nothing done.

    `revision` is that of the row with which the guest was compared. The server is locked, and an action
    record that has succeeded says what was found and done.
    """
    with transaction.atomic():
        server = lock_unchanged(server_id, revision)
        if server is None:
            return CHANGED
        record = new_record(server, findings)
        for finding in findings:
            REPAIRS[finding.kind](server, finding)
        record.apply_edge("succeed")
        record.finished_at = record.updated_at
        record.save(force_insert=True)
    return REPAIRED


def lock_unchanged(server_id: UUID, revision: int) -> Server | None:
    """Return the server's row, locked; None when its revision is another one, or it has an open action.

    In the caller's transaction.
    """
    server = Server.objects.select_for_update(of=("self",)).select_related("host").get(pk=server_id)
    at_work = ActionRecord.objects.filter(server=server, status__in=OPEN_ACTION_STATUSES).exists()
    return None if at_work or server.revision != revision else server


def new_record(server: Server, findings: Sequence[Finding]) -> ActionRecord:
    """Return the unsaved action record of a repair, with the findings in its result."""
    now = clock.now()
    return ActionRecord(
        request_id=new_request_id(),
        server=server,
        slug=RECONCILE,
        name=RECONCILE,
        user_id=RECONCILE,
        user_name=RECONCILE,
        project_id=server.project_id,
        door=RECONCILE,
        microversion=str(NEWEST),
        exclusive=False,
        former_vm_state=server.vm_state,
        former_power_state=server.power_state,
        source_host=server.host.name if server.host else "",
        result={"repairs": [{"kind": f.kind, "found": f.what, "done": f.proposal} for f in findings]},
        started_at=now,
        updated_at=now,
    )


# ------------------------------------------------------------------------------------- in one transaction


def follow_host(server: Server, finding: Finding) -> None:
    """Record the host on which the guest runs, with its disks, its allocation and its power state."""
    (name,) = finding.hosts
    server.host = Host.objects.get(name=name)
    server.store("host")
    move_disks(server, server.host)
    claims.allocate(server)
    follow_power(server, finding)


def follow_power(server: Server, finding: Finding) -> None:
    """Record the guest's power state, and the vm_state that follows from it."""
    power = finding.power if finding.power is not None else PowerState(server.power_state)
    edge = vm_edge(server.vm_state, power)
    fields = take_server_edges(server, (edge,) if edge else ())
    server.power_state, server.seen_at = power, clock.now()
    if power is PowerState.RUNNING and server.launched_at is None:
        server.launched_at = clock.now()
    server.store(*fields, "power_state", "seen_at", "launched_at")


def end_task(server: Server, finding: Finding) -> None:
    """Set the server's task state to idle, and its progress to 0."""
    fields = take_server_edges(server, ("end_task",))
    server.progress = 0
    server.store(*fields, "progress")


def end_migration(server: Server, finding: Finding) -> None:
    """End a migration that has no open action, as failed or as error, and lock its row for that.

    The allocation of the host where the guest is stays; the other one is given back.
    """
    migration = Migration.objects.select_for_update().get(pk=finding.row)
    arrived = server.host is not None and server.host.name == migration.dest_compute
    write_migration(migration, ("fail", "set_error"))
    claims.finish_move_allocations(
        server.pk, migration.pk, MoveAllocations.TO_DESTINATION if arrived else MoveAllocations.BACK_TO_SOURCE
    )
    claims.allocate(server)


def allocate_again(server: Server, finding: Finding) -> None:
    """Write the server's allocation on its host anew, whether there is room or not."""
    claims.allocate(server)


def deallocate_left(server: Server, finding: Finding) -> None:
    """Delete an allocation that nobody uses."""
    Allocation.objects.filter(pk=finding.row).delete()


REPAIRS: dict[DifferenceKind, Callable[[Server, Finding], None]] = {
    DifferenceKind.GUEST_ELSEWHERE: follow_host,
    DifferenceKind.POWER_STATE: follow_power,
    DifferenceKind.TASK_WITHOUT_ACTION: end_task,
    DifferenceKind.MIGRATION_WITHOUT_ACTION: end_migration,
    DifferenceKind.ALLOCATION_MISSING: allocate_again,
    DifferenceKind.ALLOCATION_WRONG: allocate_again,
    DifferenceKind.ALLOCATION_LEFT: deallocate_left,
}
"""Repairs in the caller's transaction, by kind. A kind neither here nor in AT_HYPERVISOR is never safe."""


# ---------------------------------------------------------------------- a repair as an exclusive action


class RepairFence:
    """The fence of a repair: it changes hosts in the name of `owner`, and never starts a guest."""

    def __init__(self, lease: Lease, owner: UUID) -> None:
        self.lease = lease
        self.owner = owner

    def prove(self) -> None:
        """Record an effect in the journal, and hold the lease for another NO_PROGRESS_LIMIT seconds.

        Raises LeaseLost when the repair's action record is not running any more, or has another fencing
        token.
        """
        with fenced_record(self.lease) as record:
            record.mark(record.begun[0], "effect")
            record.lease_until = clock.now() + timedelta(seconds=settings.NO_PROGRESS_LIMIT_S)
            record.save(update_fields=["steps", "lease_until"])

    def prove_alone(self, guest: Guest, host: str) -> None:
        """Raise NotSupported: a repair never starts a guest."""
        raise NotSupported(host=host, verb="start a guest by a repair")


def hold(server_id: UUID, revision: int, finding: Finding) -> Lease | None:
    """Begin a repair as an exclusive action: insert its running action record, and return its lease.

    One transaction. Returns None when the server has changed, has an open action, or another one is quicker.
    """
    try:
        with transaction.atomic():
            server = lock_unchanged(server_id, revision)
            if server is None:
                return None
            record = new_record(server, [finding])
            record.apply_edge("claim")
            record.exclusive, record.attempt = True, 1
            record.begin(finding.kind.value)
            record.lease_until = clock.now() + timedelta(seconds=settings.NO_PROGRESS_LIMIT_S)
            record.save(force_insert=True)
    except IntegrityError:  # one_exclusive_action_per_server
        return None
    return Lease(record.pk, 1, RECONCILE)


def let_go(lease: Lease, fault: ActionFault | None) -> str:
    """End the action record of a repair; return the outcome, in words.

    Returns CHANGED when the lease was lost to os-resetState.
    """
    try:
        with fenced_record(lease) as record:
            record.apply_edge("fail" if fault else "succeed")
            if fault is None:
                record.finish(record.begun[0])
            record.message = "Error" if fault else ""
            record.error_code, record.error_text = (fault.code, str(fault)) if fault else ("", "")
            end(record)
    except LeaseLost:  # os-resetState requeued the record; no worker takes a repair
        drop_abandoned()
        return CHANGED
    return FAILED.format(reason=fault) if fault else REPAIRED


def end(record: ActionRecord) -> None:
    """Save an action record that is over, with its journal and without a lease."""
    record.lease_until = None
    record.finished_at = record.updated_at = clock.now()
    fields = ["status", "steps", "message", "error_code", "error_text"]
    record.save(update_fields=[*fields, "lease_until", "finished_at", "updated_at"])


def drop_abandoned() -> int:
    """Fail the action records of repairs whose process has died; return how many there were.

    No worker would take them. Each is locked and ended in a transaction of its own, with a new fencing token.
    """
    abandoned = ActionRecord.objects.filter(slug=RECONCILE, status__in=OPEN_ACTION_STATUSES).exclude(
        lease_until__gte=clock.now()
    )
    count = 0
    for number in list(abandoned.values_list("pk", flat=True)):
        with transaction.atomic():
            record = abandoned.select_for_update().filter(pk=number).first()
            if record is not None:
                record.apply_edge("fail")
                record.attempt += 1
                record.message, record.error_text = "Error", "The process that did the repair has ended."
                record.save(update_fields=["attempt"])
                end(record)
                count += 1
    return count
