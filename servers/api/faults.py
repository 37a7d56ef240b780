"""Faults as Nova's clients see them: the one place where the tree of `servers.errors` meets HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from django.http import HttpResponse

from servers.api.answers import json_answer, try_again
from servers.errors import (
    ActionFault,
    ComputeHostNotFound,
    ComputeServiceUnavailable,
    Conflict,
    DatabaseUnavailable,
    DestinationHypervisorTooOld,
    Fault,
    Gone,
    GuestNotFound,
    HypervisorUnavailable,
    Invalid,
    InvalidCPUInfo,
    InvalidHypervisorType,
    InvalidLocalStorage,
    InvalidPowerState,
    InvalidSharedStorage,
    MaxRetriesExceeded,
    MigrationPreCheckError,
    Missing,
    NotPermitted,
    NoValidHost,
    Refusal,
    ServiceUnavailable,
    UnableToMigrateToSelf,
    Unauthenticated,
    WrongState,
)
from servers.outage import is_outage

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/json; charset=UTF-8"


class Malformed(Invalid):
    """Malformed request body"""


class VersionMalformed(Invalid):
    """API Version String {version} is of invalid format. Must be of format MajorNum.MinorNum."""


class VersionRefused(Refusal):
    """Version {version} is not supported by the API. Minimum is {minimum} and maximum is {maximum}."""


class MediaTypeUnknown(Refusal):
    """Unsupported Content-Type"""


class FeatureUnsupported(Refusal):
    """The requested functionality is not supported."""


STATUSES: dict[type[Fault], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    NotPermitted: 403,
    Missing: 404,
    VersionRefused: 406,
    Conflict: 409,
    Gone: 410,
    MediaTypeUnknown: 415,
    FeatureUnsupported: 501,
    ServiceUnavailable: 503,
    ComputeHostNotFound: 404,
    GuestNotFound: 404,
}
"""HTTP's code for a class and all below it; what is not here is 500."""

NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""Nova's key for a code; any other code is a computeFault (Nova contract E.1)."""

TOLD_IN_THE_REQUEST = (
    NoValidHost,
    MaxRetriesExceeded,
    ComputeServiceUnavailable,
    ComputeHostNotFound,
    InvalidHypervisorType,
    InvalidCPUInfo,
    UnableToMigrateToSelf,
    DestinationHypervisorTooOld,
    InvalidLocalStorage,
    InvalidSharedStorage,
    HypervisorUnavailable,
    MigrationPreCheckError,
)
"""What a live migration below 2.34 answers with 400 (Nova contract A.2)."""


def status_of(kind: type[BaseException]) -> int:
    """Return HTTP's code for a fault."""
    return next((STATUSES[base] for base in kind.__mro__ if base in STATUSES), 500)


def body(code: int, message: str) -> HttpResponse:
    """Return a fault in Nova's form."""
    name = NAMES.get(code, "computeFault")
    return json_answer({name: {"code": code, "message": message}}, code, CONTENT_TYPE)


def answer(fault: Exception) -> HttpResponse:
    """Return the answer for whatever stopped a request; what nobody has foreseen is logged."""
    if isinstance(fault, ActionFault):
        return _answer_action_fault(fault)
    if isinstance(fault, Refusal):
        return body(status_of(type(fault)), str(fault))
    if is_outage(fault):
        log.warning("request.without_database", reason=str(fault))
        return try_again(body(503, str(DatabaseUnavailable())))
    log.error("request failed", exc_info=fault)
    return _unexpected(repr(type(fault)))


def _answer_action_fault(fault: ActionFault) -> HttpResponse:
    if isinstance(fault, TOLD_IN_THE_REQUEST):
        return body(400, str(fault))
    if isinstance(fault, InvalidPowerState):
        conflict = WrongState(verb="os-migrateLive", attribute="power_state", **fault.facts)
        return body(409, str(conflict))
    log.warning("action failed in the request", code=fault.code, message=str(fault))
    return _unexpected("<class 'nova.exception.MigrationError'>")  # into which Nova's conductor turns it


def _unexpected(kind: str) -> HttpResponse:
    return body(500, f"Unexpected API Error. Please contact the administrator\n{kind}")


def _tree(kind: type[Fault]) -> Iterator[type[Fault]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def kept_code(code: str) -> int:
    """Return the number that Nova shows for a fault which is kept with a server by its `code`."""
    kind = next((k for k in _tree(Fault) if k.code == code), Fault)
    if issubclass(kind, ActionFault) and kind.user_error:
        return 400
    return status_of(kind)
