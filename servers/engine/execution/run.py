"""The way through: the steps of an action under its lease, and what becomes of every fault."""

from __future__ import annotations

from contextlib import nullcontext
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection

from servers.actions.base import Exclusivity, Step, StepFunction
from servers.actions.task import Change, MoveAllocations
from servers.engine.execution import lease as leases
from servers.engine.execution.lease import Lease
from servers.engine.execution.lease_renewal import Heartbeat
from servers.engine.execution.task import WorkingTask
from servers.engine.execution.verdicts import Moment, Verdict, verdict_of
from servers.errors import (
    ActionFault,
    DriverFault,
    Fault,
    HypervisorTimeout,
    HypervisorUnavailable,
    LeaseLost,
    Unforeseen,
    fault_of,
    printable,
)
from servers.models import ActionRecord

log = structlog.get_logger(__name__)


class NotUndone(Exception):
    """A step that touches the guest could not be undone now, and it is not known what became of it."""


def carry_out(action: UUID, worker: str, *, heartbeat: bool = True) -> bool:
    """Claim the action and work on it until it is over or has to wait; return whether it was there to claim."""
    lease = leases.claim(action, worker)
    if lease is None:
        return False
    work(lease, heartbeat=heartbeat)
    return True


def work(lease: Lease, *, heartbeat: bool) -> None:
    """Work on a claimed action. This is the worker loop: no fault leaves it.

    Whatever is raised, by the end of an action as well, the action reaches a final state or is looked at again, a
    bounded number of times. Where the database takes nothing, the lease runs out, and whoever has it next looks.
    """
    with Heartbeat(lease) if heartbeat else nullcontext() as beat:
        try:
            attempt(WorkingTask(lease, beat))
        except LeaseLost:
            log.warning("action.lease_lost", action=str(lease.action), attempt=lease.attempt)
        except DatabaseFault as error:
            log.warning("action.database_away", action=str(lease.action), reason=str(error))
            let_go(lease, error)
        except Exception as error:
            log.error("action.unforeseen", action=str(lease.action), exc_info=error)
            let_go(lease, error)


def attempt(task: WorkingTask) -> None:
    """Bring the action as far as it comes: through its steps, or through the undoing that was decided before."""
    if task.row.verdict:
        return conclude(task)
    try:
        run_steps(task, task.definition.steps)
        task.end("succeed", task.definition.finished(task))
    except LeaseLost:
        raise
    except Exception as error:  # noqa: BLE001 (the worker loop)
        end_or_retry(task, error)


def let_go(lease: Lease, error: Exception) -> None:
    """Leave the action to be looked at again; a database that does not take even that is left alone."""
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        leases.mark_unknown(lease, said(error))
    except DatabaseFault as away:
        log.warning("action.left_to_its_lease", action=str(lease.action), reason=str(away))


def carry_out_in_request(action: UUID) -> None:
    """Do the steps for which the caller waits, then hand the action to the workers. Raises its ActionFault.

    They take at most SYNC_CHECK_LIMIT; an action that needs longer goes on at a worker, and is no error yet.
    """
    lease = leases.claim(action, "request")
    if lease is None:
        return
    task = WorkingTask(lease, deadline_s=settings.SYNC_CHECK_LIMIT_S)
    steps = tuple(step for step in task.definition.steps if step.waits(task.microversion))
    try:
        run_steps(task, steps)
        task.requeue(0)
    except LeaseLost:
        return
    except Exception as error:  # noqa: BLE001 (as in `work`; what the record says is raised below)
        end_or_retry(task, error)
        raise_if_failed(task, error)


def raise_if_failed(task: WorkingTask, error: Exception) -> None:
    """Raise what ended the action; nothing when it waits."""
    if ActionRecord.objects.get(pk=task.row.pk).is_over:
        raise as_fault(error) from error


def run_steps(task: WorkingTask, steps: tuple[Step, ...]) -> None:
    """Run what is not done. A step that was begun, with effects at a hypervisor, looks for itself what became of it."""
    for step in steps:
        if step.name in task.row.done:
            continue
        if not step.forward_only and step.name not in task.row.begun:
            task.checkpoint()
        task.begin_step(step.name)
        step.run(task.definition, task)
        task.finish_step(step.name)


def moment_of(task: WorkingTask) -> Moment:
    """Return where the action stands, by its journal."""
    begun, effective = task.row.begun, task.row.effective
    current = next((step for step in task.definition.steps if step.name == task.row.step), None)
    return Moment(
        behind_switch=any(step.is_behind(begun, effective) for step in task.definition.steps),
        touched=current is not None and current.touches_guest and current.name in effective,
        checking=current is not None and current.in_request is not None,
        cancelled=task.is_cancelled(),
        tries=task.row.tries,
    )


def end_or_retry(task: WorkingTask, error: Exception) -> None:
    """Decide what a fault means, and write it; here alone a fault ends an action, or lets it wait."""
    if isinstance(error, DatabaseFault):
        raise error  # the record cannot be asked, and the guest was not: the next attempt looks
    verdict = verdict_of(error, moment_of(task))
    if verdict in {Verdict.CANCEL, Verdict.FAIL} and may_have_happened(task):
        verdict = Verdict.LOOK_AGAIN
    if verdict is Verdict.WAIT:
        task.requeue(error.facts["delay_s"] if isinstance(error, Fault) else 0)
    elif verdict is Verdict.LOOK_AGAIN:
        mark_unknown(task, error)
    elif verdict is Verdict.TRY_AGAIN:
        task.requeue(2.0**task.row.tries, tries=task.row.tries + 1)
    elif verdict is Verdict.CANCEL:
        task.decide("cancel")
        conclude(task)
    else:
        task.decide("fail", as_fault(error))
        conclude(task)


def may_have_happened(task: WorkingTask) -> bool:
    """Return whether the switch has happened all the same, or nobody can say that it has not: then there is only forward."""
    try:
        return task.definition.has_happened(task)
    except (HypervisorUnavailable, HypervisorTimeout):
        return True
    except DriverFault:  # the guest is on two hosts, say: that is no success
        return False


def mark_unknown(task: WorkingTask, error: Exception) -> None:
    """Leave the action as unknown. Nothing is undone and nothing can be started until the hypervisor was asked."""
    log.error("action.unknown", action=str(task.row.pk), step=task.row.step, exc_info=error)
    leases.mark_unknown(task.lease, said(error))


def said(error: Exception) -> str:
    """Return what an error says of itself."""
    return printable(str(error) or type(error).__name__)


def as_fault(error: Exception) -> ActionFault:
    """Return the fault with which an action ends; an error that nobody foresaw is logged with its traceback."""
    if isinstance(error, ActionFault):
        return error
    log.error("action.unforeseen", exc_info=error)
    return Unforeseen(message=said(error))


def conclude(task: WorkingTask) -> None:
    """Undo what was made, and end the action as it was decided. Where the undoing waits, the next attempt goes on."""
    edge, fault = task.row.verdict["edge"], task.fault or fault_of(task.row.verdict)
    try:
        undo(task)
    except NotUndone as error:
        mark_unknown(task, error)
        return
    try:
        definition = task.definition
        change = definition.failed(task, fault) if fault is not None else definition.cancelled(task)
        task.end(edge, change, fault)
    except (LeaseLost, DatabaseFault):
        raise
    except Exception as error:
        log.error("action.end_unforeseen", action=str(task.row.pk), exc_info=error)
        fault = fault or Unforeseen(message=said(error))
        task.end("fail", fallback(task, fault), fault)
    log.info("action.ended", action=str(task.row.pk), edge=edge, code=fault.code if fault else "")


def fallback(task: WorkingTask, fault: ActionFault) -> Change:
    """Return how an action ends whose definition cannot say it: in error, with its room where its record is.

    A server that it was to make is none. What shares its server with another action leaves that to it.
    """
    if task.definition.exclusivity is not Exclusivity.EXCLUSIVE:
        return Change()
    if task.definition.makes_server:
        task.release()
        return Change(server=("vanish", "end_task"), progress=0, fault=fault)
    arrived = task.server.host is not None and task.server.host != task.source
    return Change(
        server=("set_error", "end_task"),
        migration=("set_error",),
        allocations=MoveAllocations.TO_DESTINATION if arrived else MoveAllocations.BACK_TO_SOURCE,
        progress=0,
        fault=fault,
    )


def undo(task: WorkingTask) -> None:
    """Undo the steps that may have made something, in reverse; behind the switch nothing is undone.

    What cannot be undone now is written down and left, where it is no matter of the guest: the reconciler takes it
    up. Where it is, and nobody knows what became of it, NotUndone is raised.
    """
    effective = task.row.effective
    steps = [step for step in task.definition.steps if step.name in effective]
    if any(step.forward_only for step in steps):
        return
    for step in reversed(steps):
        if step.undo_with is not None:
            undo_step(task, step, step.undo_with)
            task.mark_undone(step.name)


def undo_step(task: WorkingTask, step: Step, undoing: StepFunction) -> None:
    """Undo one step. Raises NotUndone where it has to be tried again."""
    try:
        undoing(task.definition, task)
    except (LeaseLost, DatabaseFault):
        raise
    except Exception as error:
        silent = isinstance(error, HypervisorTimeout | HypervisorUnavailable)
        if step.touches_guest and (silent or not isinstance(error, Fault)):
            raise NotUndone(f"{step.name} is not undone: {said(error)}") from error
        if not isinstance(error, DriverFault):
            log.error("action.not_undone", action=str(task.row.pk), step=step.name, exc_info=error)
        task.not_undone(step.name, said(error))
