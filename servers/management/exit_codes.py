"""What a command's exit code says: the same for every action, so that scripts can go by it."""

from __future__ import annotations

from enum import IntEnum

from servers.errors import (
    ActionFault,
    Conflict,
    Fault,
    Missing,
    NotPermitted,
    ServiceUnavailable,
    StrangeDatabase,
    TrailChanged,
    Unauthenticated,
    WrongSetting,
)
from servers.states import ActionStatus


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_PERMITTED = 3
    NOT_FOUND = 4
    CONFLICT = 5
    FAILED = 6
    CANCELLED = 7
    TIMED_OUT = 8
    UNKNOWN = 9
    UNAVAILABLE = 10
    STRANGE_DATABASE = 11
    WRONG_SETTING = 12
    TRAIL_CHANGED = 13


MEANING = {
    ExitCode.DONE: "accepted; with --wait: succeeded",
    ExitCode.REFUSED: "refused: the request itself is wrong",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.NOT_PERMITTED: "not permitted by the policy",
    ExitCode.NOT_FOUND: "no such server, action, migration, image or user",
    ExitCode.CONFLICT: "refused: the server is locked, or in a state in which it is not possible",
    ExitCode.FAILED: "the action failed",
    ExitCode.CANCELLED: "the action was cancelled",
    ExitCode.TIMED_OUT: "--timeout ran out; the action goes on",
    ExitCode.UNKNOWN: "a hypervisor does not answer, the outcome is not known yet; it will be asked again",
    ExitCode.UNAVAILABLE: "the database, the disk or another service cannot be used; what was asked may have been accepted all the same",
    ExitCode.STRANGE_DATABASE: "the database is newer than this version, or cannot be brought up to date",
    ExitCode.WRONG_SETTING: "a setting is wrong; the sentence names it",
    ExitCode.TRAIL_CHANGED: "somebody has changed the audit trail, or cut it",
}

_OF_FAULTS: tuple[tuple[type[Fault], ExitCode], ...] = (
    (NotPermitted, ExitCode.NOT_PERMITTED),
    (Unauthenticated, ExitCode.NOT_PERMITTED),
    (ServiceUnavailable, ExitCode.UNAVAILABLE),
    (TrailChanged, ExitCode.TRAIL_CHANGED),
    (StrangeDatabase, ExitCode.STRANGE_DATABASE),
    (WrongSetting, ExitCode.WRONG_SETTING),
    (Missing, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.CONFLICT),
    (ActionFault, ExitCode.FAILED),
    (Fault, ExitCode.REFUSED),
)

_OF_STATUSES = {
    ActionStatus.SUCCEEDED: ExitCode.DONE,
    ActionStatus.FAILED: ExitCode.FAILED,
    ActionStatus.CANCELLED: ExitCode.CANCELLED,
    ActionStatus.UNKNOWN: ExitCode.UNKNOWN,
}


def of_fault(fault: Fault) -> ExitCode:
    """Return the code for a request that ended with `fault`."""
    return next(code for kind, code in _OF_FAULTS if isinstance(fault, kind))


def of_status(status: str) -> ExitCode:
    """Return the code for an action that was left in `status`."""
    return _OF_STATUSES.get(ActionStatus(status), ExitCode.DONE)


def table() -> str:
    """Return all codes with their meaning, for --help."""
    return "\n".join(f"  {code.value:>2}  {text}" for code, text in MEANING.items())
