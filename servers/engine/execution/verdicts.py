"""The right end for the right fault: one table says which are waited for, looked into, tried again, or the end."""

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
"""How often a retryable fault puts an action back before it fails."""


class Verdict(StrEnum):
    """What becomes of an action whose step has raised."""

    WAIT = "wait"
    """Not its turn yet: it comes again, and nothing counts against it."""
    LOOK_AGAIN = "look again"
    """Nobody knows what became of it: the next attempt asks the hypervisor. Nothing is undone meanwhile."""
    TRY_AGAIN = "try again"
    """Nothing has happened, and it may pass: the step is tried again after a pause, MAX_TRIES times."""
    CANCEL = "cancel"
    """Somebody has asked it to stop: what it has made is undone."""
    FAIL = "fail"
    """It ends with this fault: what it has made is undone."""


@dataclass(frozen=True)
class Moment:
    """Where an action stood when something was raised, by its journal."""

    behind_switch: bool = False
    """A step behind which there is only forward has had an effect."""
    touched: bool = False
    """The step that runs touches the guest, and may have had an effect."""
    checking: bool = False
    """The step that runs only checks, and a caller may wait for what it says."""
    cancelled: bool = False
    """Somebody has asked the action to stop."""
    tries: int = 0
    """How often a retryable fault has put it back."""


def verdict_of(error: Exception, moment: Moment) -> Verdict:
    """Return what becomes of an action in which `error` was raised."""
    if isinstance(error, Later):
        return Verdict.WAIT
    if isinstance(error, DatabaseFault):
        return Verdict.LOOK_AGAIN  # it says nothing of the guest
    if moment.behind_switch:
        return Verdict.LOOK_AGAIN  # there is only forward
    if isinstance(error, Cancelled):
        return Verdict.CANCEL
    if moment.cancelled and isinstance(error, MigrationAborted | MigrationFailed):
        return Verdict.CANCEL  # who joins a move that another worker aborted sees only that it ended
    if isinstance(error, HypervisorTimeout):
        return Verdict.LOOK_AGAIN  # whatever was asked may happen yet
    if moment.touched and (isinstance(error, HypervisorUnavailable) or not isinstance(error, Fault)):
        return Verdict.LOOK_AGAIN
    if is_passing(error, moment) and moment.tries < MAX_TRIES:
        return Verdict.TRY_AGAIN
    return Verdict.FAIL


def is_passing(error: Exception, moment: Moment) -> bool:
    """Return whether the fault may be over in a moment: an agent that boots, a store or a host that is away."""
    if isinstance(error, HypervisorUnavailable):
        return not moment.checking  # checks pass on to the next host instead
    return isinstance(error, Fault) and error.retryable
