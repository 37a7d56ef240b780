"""What an error is in HTTP: the one place where the tree of `servers.errors` meets its codes, and Nova's form of them."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DataError
from django.http import HttpResponse
from rest_framework.exceptions import APIException

from servers.api.answers import json_answer
from servers.api.authentication import unauthenticated
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
    KeyReused,
    MaxRetriesExceeded,
    MigrationPreCheckError,
    Missing,
    NotPermitted,
    NoValidHost,
    Refusal,
    ServiceUnavailable,
    TooManyFailedLogins,
    UnableToMigrateToSelf,
    Unauthenticated,
    WrongState,
)
from servers.outage import is_outage

CONTENT_TYPE = "application/json; charset=UTF-8"


class Malformed(Invalid):
    """Malformed request body"""


class MalformedUrl(Invalid):
    """Malformed request URL"""


class ValueNotKept(Invalid):
    """A value of the request is longer, or larger, than the database keeps."""


class TooLarge(Refusal):
    """The request is too large."""


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
    TooLarge: 413,
    MediaTypeUnknown: 415,
    KeyReused: 422,
    TooManyFailedLogins: 429,
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
    405: "badMethod",
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


def code_of(refusal: Refusal | APIException) -> int:
    """Return HTTP's code for a refusal: one of REST framework's says it itself."""
    return refusal.status_code if isinstance(refusal, APIException) else status_of(type(refusal))


def refusal_of(error: Exception) -> Refusal | APIException | None:
    """Return the refusal that an error is to the caller, None for one that nobody has foreseen."""
    if isinstance(error, Refusal | APIException):
        return error
    if isinstance(error, RequestDataTooBig):
        return TooLarge()
    if isinstance(error, SuspiciousOperation):  # Django's, for more keys in a query than it takes
        return MalformedUrl()
    if isinstance(error, DataError):  # every schema has its columns' limits: this is what one has forgotten
        return ValueNotKept()
    if isinstance(error, TOLD_IN_THE_REQUEST):
        return Invalid(str(error))
    if isinstance(error, InvalidPowerState):
        return WrongState(verb="os-migrateLive", attribute="power_state", **error.facts)
    return DatabaseUnavailable() if is_outage(error) else None


def novas_form(code: int, message: str) -> HttpResponse:
    """Return a refusal in Nova's form; 401 is said by what stands before it."""
    if code == 401:
        return unauthenticated()
    name = NAMES.get(code, "computeFault")
    return json_answer({name: {"code": code, "message": message}}, code, CONTENT_TYPE)


def novas_name(error: Exception) -> str:
    """Return what Nova calls an error that nobody has foreseen: its class, or that into which its conductor turns it."""
    return "<class 'nova.exception.MigrationError'>" if isinstance(error, ActionFault) else repr(type(error))


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
