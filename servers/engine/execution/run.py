"""Run the steps of an action under its lease, and decide what becomes of the action after a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial

import structlog
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection
from structlog.contextvars import bound_contextvars

from servers.acting import acting, become
from servers.actions.base import Exclusivity, Step, StepFunction
from servers.actions.task import Change, MoveAllocations
from servers.engine.execution import lease as leases
from servers.engine.execution import signals
from servers.engine.execution.ending import HandedOver, hand_over_when_ending
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
    """A step that touches the guest could not be undone now, so that the outcome is unknown."""


def work(lease: Lease, *, heartbeat: bool) -> None:
    """Work on a claimed action. This is the worker loop: no exception leaves it.

    After any exception, also one at the end of the action, the action reaches a final status or is tried
    again, a bounded number of times. When the database takes nothing, the lease runs out, and a successor
    worker tries again. A process that was told to end hands the action over at the end of a step.
    """
    handed_over: list[dict[str, object]] | None = None
    with (
        acting(source=lease.worker),
        bound_contextvars(**lease.named),
        Heartbeat(lease) if heartbeat else nullcontext() as beat,
    ):
        try:
            task = WorkingTask(lease, beat)
            become(on_behalf_of=task.row.user_name or task.row.user_id, request_id=task.row.request_id)
            attempt(task)
        except HandedOver:
            handed_over = task.row.steps
        except LeaseLost:
            log.warning("action.lease_lost", action=str(lease.action), attempt=lease.attempt)
            signals.send(signals.worker_fenced, reason=signals.LOST)
        except DatabaseFault as error:
            log.warning("action.database_away", action=str(lease.action), reason=str(error))
            let_go(lease, partial(leases.mark_unknown, lease, said(error)))
        except Exception as error:
            log.error("action.unforeseen", action=str(lease.action), exc_info=error)
            let_go(lease, partial(leases.mark_unknown, lease, said(error)))
    if handed_over is not None:  # nobody renews the lease any more
        log.info("action.handed_over", action=str(lease.action), attempt=lease.attempt)
        let_go(lease, partial(leases.hand_over, lease, steps=handed_over))


def attempt(task: WorkingTask) -> None:
    """Run the action's steps and end it, or go on with an end that was decided before.

    Raises LeaseLost, HandedOver and database errors; any other exception of a step is dealt with here.
    """
    if task.row.verdict:
        return conclude(task)
    try:
        run_steps(task, task.definition.steps)
        task.end("succeed", task.definition.finished(task))
    except (LeaseLost, HandedOver):
        raise
    except Exception as error:  # noqa: BLE001 (the worker loop)
        end_or_retry(task, error)


def let_go(lease: Lease, leave: Callable[[], object]) -> None:
    """Write how the action is left to another attempt, by calling `leave`; a database error is only logged."""
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        leave()
    except DatabaseFault as away:
        log.warning("action.left_to_its_lease", action=str(lease.action), reason=str(away))


def carry_out_in_request(lease: Lease) -> None:
    """Run the steps of a claimed action for which the caller waits, then put it back into the queue.

    Raises the ActionFault that ends the action. After SYNC_CHECK_LIMIT the rest is left to a worker, which is
    no error. Does nothing more when the lease is lost during a step.
    """
    task = WorkingTask(lease, deadline_s=settings.SYNC_CHECK_LIMIT_S)
    steps = tuple(step for step in task.definition.steps if step.waits(task.microversion))
    with bound_contextvars(**lease.named), suppress(LeaseLost):  # another worker has the action, and ends it
        try:
            run_steps(task, steps)
            task.requeue(0)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 (as in `attempt`; a fault that ends the action is raised below)
            end_or_retry(task, error)
            raise_if_failed(task, error)


def raise_if_failed(task: WorkingTask, error: Exception) -> None:
    """Raise the fault when it has ended the action; do nothing when the action waits for another attempt."""
    if ActionRecord.objects.get(pk=task.row.pk).is_over:
        raise as_fault(error) from error


def run_steps(task: WorkingTask, steps: tuple[Step, ...]) -> None:
    """Run the steps that are not done, in order.

    A step that was begun before runs again: it finds out itself what has happened at the hypervisor. Before
    any other step that is not forward-only `checkpoint` may raise Cancelled or Later, and before any step but the
    first of this attempt HandedOver.
    """
    left = (step for step in steps if step.name not in task.row.done)
    for number, step in enumerate(left):
        if number:
            hand_over_when_ending()
        if not step.forward_only and step.name not in task.row.begun:
            task.checkpoint()
        task.begin_step(step.name)
        step.run(task.definition, task)
        task.finish_step(step.name)


def moment_of(task: WorkingTask) -> Moment:
    """Return where the action stands, by its journal and its record."""
    begun, effective = task.row.begun, task.row.effective
    current = task.running_step
    return Moment(
        behind_switch=any(step.is_behind(begun, effective) for step in task.definition.steps),
        touched=current is not None and current.touches_guest and current.name in effective,
        checking=current is not None and current.in_request is not None,
        cancelled=task.is_cancelled(),
        tries=task.row.tries,
    )


def end_or_retry(task: WorkingTask, error: Exception) -> None:
    """Decide what an exception means for the action, and write it; only here an exception ends an action.

    Raises database errors again, and LeaseLost.
    """
    if isinstance(error, DatabaseFault):
        raise error  # the record cannot be read or written: the next attempt looks
    note_fault(task, error)
    verdict = verdict_of(error, moment_of(task))
    if verdict in {Verdict.CANCEL, Verdict.FAIL} and may_have_happened(task):
        verdict = Verdict.LOOK_AGAIN
    if verdict is Verdict.WAIT:
        facts = error.facts if isinstance(error, Fault) else {}
        task.requeue(facts.get("delay_s", 0), waits_for_host=facts.get("waits_for_host", ""))
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


def note_fault(task: WorkingTask, error: Exception) -> None:
    """Tell whoever counts them of a driver's fault; do nothing for any other exception."""
    if isinstance(error, DriverFault):
        signals.send(signals.action_faulted, slug=task.row.slug, code=error.code)


def may_have_happened(task: WorkingTask) -> bool:
    """Return whether the switch step has happened although the journal does not say so: then no undo follows.

    True also when a hypervisor is silent. False when it raises any other DriverFault.
    """
    try:
        return task.definition.has_happened(task)
    except (HypervisorUnavailable, HypervisorTimeout):
        return True
    except DriverFault:  # for example GuestOnTwoHosts, which is no success
        return False


def mark_unknown(task: WorkingTask, error: Exception) -> None:
    """Write that the outcome is unknown: nothing is undone or started before the hypervisor was asked."""
    log.error("action.unknown", action=str(task.row.pk), step=task.row.step, exc_info=error)
    leases.mark_unknown(task.lease, said(error))


def said(error: Exception) -> str:
    """Return the text of an exception in printable form; its type's name when it has no text."""
    return printable(str(error) or type(error).__name__)


def as_fault(error: Exception) -> ActionFault:
    """Return the fault with which an action ends. Any other exception is logged, and becomes Unforeseen."""
    if isinstance(error, ActionFault):
        return error
    log.error("action.unforeseen", exc_info=error)
    return Unforeseen(message=said(error))


def conclude(task: WorkingTask) -> None:
    """Undo what the action has made, and end it as its record's `verdict` says.

    When a step cannot be undone now, the outcome is unknown, and the next attempt goes on. Raises LeaseLost
    and database errors; when the definition raises anything else, the action fails with `fallback`.
    """
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
        edge, fault = "fail", fault or Unforeseen(message=said(error))
        task.end(edge, fallback(task, fault), fault)
    log.info("action.ended", action=str(task.row.pk), edge=edge, code=fault.code if fault else "")


def fallback(task: WorkingTask, fault: ActionFault) -> Change:
    """Return the end of an action whose definition cannot say it: the server in vm_state ERROR.

    Its allocation stays on the recorded host. A server that the action was to make is deleted, and its
    allocation too. An action that shares its server with another one changes nothing.
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
    """Undo the steps that had an effect, the last one first; nothing when one of them is forward-only.

    What cannot be undone is written down for the reconciler. Raises NotUndone instead when the step touches
    the guest and its outcome is unknown, and HandedOver after a step when the process was told to end.
    """
    effective = task.row.effective
    steps = [step for step in task.definition.steps if step.name in effective]
    if any(step.forward_only for step in steps):
        return
    for step in reversed(steps):
        if step.undo_with is not None:
            undo_step(task, step, step.undo_with)
            task.mark_undone(step.name)
            hand_over_when_ending()


def undo_step(task: WorkingTask, step: Step, undoing: StepFunction) -> None:
    """Undo one step. Raises NotUndone when it has to be tried again, LeaseLost, and database errors."""
    task.begin_undo(step)
    try:
        undoing(task.definition, task)
    except (LeaseLost, DatabaseFault):
        raise
    except Exception as error:
        note_fault(task, error)
        silent = isinstance(error, HypervisorTimeout | HypervisorUnavailable)
        if step.touches_guest and (silent or not isinstance(error, Fault)):
            raise NotUndone(f"{step.name} is not undone: {said(error)}") from error
        if not isinstance(error, DriverFault):
            log.error("action.not_undone", action=str(task.row.pk), step=step.name, exc_info=error)
        task.not_undone(step.name, said(error))
