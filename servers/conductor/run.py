"""The way through: the steps of an action under its lease, and what becomes of every fault."""

from __future__ import annotations

from contextlib import nullcontext
from uuid import UUID

import structlog
from django.conf import settings

from servers.actions.base import Step
from servers.actions.task import Change
from servers.conductor import lease as leases
from servers.conductor.lease import Heartbeat, Lease
from servers.conductor.task import WorkingTask
from servers.errors import (
    ActionFault,
    Cancelled,
    DriverFault,
    Fault,
    HypervisorTimeout,
    HypervisorUnavailable,
    Later,
    LeaseLost,
    MigrationAborted,
    Unforeseen,
)
from servers.models import ActionRecord

log = structlog.get_logger(__name__)

MAX_TRIES = 5
"""How often a retryable fault puts an action back before it fails."""


def carry_out(action: UUID, worker: str, *, heartbeat: bool = True) -> bool:
    """Claim the action and work on it until it is over or has to wait; return whether it was there to claim."""
    lease = leases.claim(action, worker)
    if lease is None:
        return False
    work(lease, heartbeat=heartbeat)
    return True


def work(lease: Lease, *, heartbeat: bool) -> None:
    """Work on a claimed action. This is the worker loop: no fault leaves it."""
    with Heartbeat(lease) if heartbeat else nullcontext() as beat:
        task = WorkingTask(lease, beat)
        try:
            run_steps(task, task.definition.steps)
            task.end("succeed", task.definition.finished(task))
        except LeaseLost:
            log.warning("action.lease_lost", action=str(lease.action), attempt=lease.attempt)
        except Exception as error:  # noqa: BLE001 (the worker loop: every fault ends in the record)
            settle(task, error)


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
        task.put_back(0)
    except LeaseLost:
        return
    except Exception as error:  # noqa: BLE001 (as in `work`; what the record says is raised below)
        settle(task, error)
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


def settle(task: WorkingTask, error: Exception) -> None:
    """Decide what a fault means, and write it; here alone a fault ends an action, or lets it wait."""
    try:
        if isinstance(error, Later):
            task.put_back(error.facts["delay_s"])
        elif is_unknown(task, error):
            lose_sight(task, error)
        elif isinstance(error, Cancelled) or (isinstance(error, MigrationAborted) and task.is_cancelled()):
            undo(task)
            task.end("cancel", task.definition.cancelled(task))
        elif isinstance(error, Fault) and error.retryable and task.row.tries < MAX_TRIES:
            task.put_back(2.0**task.row.tries, tries=task.row.tries + 1)
        else:
            fail(task, as_fault(error))
    except LeaseLost:
        log.warning("action.lease_lost", action=str(task.row.pk), attempt=task.lease.attempt)


def current_step(task: WorkingTask) -> Step | None:
    """Return the step that was running."""
    return next((step for step in task.definition.steps if step.name == task.row.step), None)


def is_unknown(task: WorkingTask, error: Exception) -> bool:
    """Return whether the fault leaves open what became of the guest (laws 1 and 3)."""
    if isinstance(error, HypervisorTimeout):
        return True
    step = current_step(task)
    touched = step is not None and step.touches_guest
    return touched and (isinstance(error, HypervisorUnavailable) or not isinstance(error, Fault))


def lose_sight(task: WorkingTask, error: Exception) -> None:
    """Leave the action as unknown. Nothing is undone and nothing can be started until the hypervisor was asked."""
    log.error("action.unknown", action=str(task.row.pk), step=task.row.step, exc_info=error)
    leases.lose_sight(task.lease, str(error) or type(error).__name__)


def as_fault(error: Exception) -> ActionFault:
    """Return the fault with which an action ends; an error that nobody foresaw is logged with its traceback."""
    if isinstance(error, ActionFault):
        return error
    log.error("action.unforeseen", exc_info=error)
    return Unforeseen(message=str(error) or type(error).__name__)


def fail(task: WorkingTask, fault: ActionFault) -> None:
    """Undo what was begun, and end the action with its reason."""
    undo(task)
    change: Change = task.definition.failed(task, fault)
    log.info("action.failed", action=str(task.row.pk), code=fault.code, reason=str(fault))
    task.end("fail", change, fault)


def undo(task: WorkingTask) -> None:
    """Undo the begun steps in reverse; what cannot be undone now is written down and left.

    Behind the switch nothing is undone.
    """
    steps = [step for step in task.definition.steps if step.name in task.row.begun]
    if any(step.forward_only for step in steps):
        return
    for step in reversed(steps):
        if step.undo_with is None:
            continue
        try:
            step.undo_with(task.definition, task)
        except DriverFault as fault:
            left = [*task.row.result.get("not_undone", []), f"{step.name}: {fault}"]
            task.answer(not_undone=left)
