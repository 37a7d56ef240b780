"""What becomes of an action after a fault: one table for all faults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.db import Error as DatabaseFault

from servers.errors import (
    Cancelled,
    Fault,
    HypervisorTimeout,
    HypervisorUnavailable,
    Later,
    MigrationAborted,
    MigrationFailed,
)

MAX_TRIES = 5
"""How often a retryable fault puts an action back into the queue before the action fails."""


class Verdict(StrEnum):
    """What becomes of an action whose step has raised an exception."""

    WAIT = "wait"
    """It is not the action's turn: it is queued again, and nothing is counted."""
    LOOK_AGAIN = "look again"
    """The outcome is unknown: the next attempt asks the hypervisor. Nothing is undone before."""
    TRY_AGAIN = "try again"
    """Nothing has happened, and the fault may pass: the step runs again later, at most MAX_TRIES times."""
    CANCEL = "cancel"
    """The action was asked to stop: what it has made is undone."""
    FAIL = "fail"
    """The action ends with this fault: what it has made is undone."""


@dataclass(frozen=True)
class Moment:
    """Where an action stood when an exception was raised, by its journal and its record."""

    behind_switch: bool = False
    """A switch step has had an effect: the action only goes forward."""
    touched: bool = False
    """The running step touches the guest, and may have had an effect."""
    checking: bool = False
    """The running step only checks, and a caller may wait for its outcome."""
    cancelled: bool = False
    """The action was asked to stop."""
    tries: int = 0
    """How often a retryable fault has put the action back."""


def verdict_of(error: Exception, moment: Moment) -> Verdict:
    """Return what becomes of an action in which `error` was raised; the first rule that applies decides."""
    if isinstance(error, Later):
        return Verdict.WAIT
    if isinstance(error, DatabaseFault):
        return Verdict.LOOK_AGAIN  # it says nothing of the guest
    if moment.behind_switch:
        return Verdict.LOOK_AGAIN  # the action only goes forward
    if isinstance(error, Cancelled):
        return Verdict.CANCEL
    if moment.cancelled and isinstance(error, MigrationAborted | MigrationFailed):
        return Verdict.CANCEL  # a worker that re-attached to an aborted move sees only its end
    if isinstance(error, HypervisorTimeout):
        return Verdict.LOOK_AGAIN  # what was requested may still happen
    if moment.touched and (isinstance(error, HypervisorUnavailable) or not isinstance(error, Fault)):
        return Verdict.LOOK_AGAIN
    if is_passing(error, moment) and moment.tries < MAX_TRIES:
        return Verdict.TRY_AGAIN
    return Verdict.FAIL


def is_passing(error: Exception, moment: Moment) -> bool:
    """Return whether the fault may pass by itself: a retryable one, or a silent host outside the checks."""
    if isinstance(error, HypervisorUnavailable):
        return not moment.checking  # a check tries the next host instead
    return isinstance(error, Fault) and error.retryable
