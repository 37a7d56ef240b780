"""libvirt's errors in the words of `servers.errors`, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import libvirt
import structlog
from structlog.contextvars import get_contextvars

from servers.drivers.base import HostRef
from servers.errors import DriverFault, HypervisorTimeout, HypervisorUnavailable, printable

log = structlog.get_logger(__name__)

MAX_REASON_CHARS = 500

LOST = frozenset(
    {
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        libvirt.VIR_ERR_RPC,
    }
)
"""With these codes it is the way to the host that fails, not the host."""

COMMAND_TIMEOUT, COMMAND_FAILED = 112, 113
"""VIR_ERR_AGENT_COMMAND_TIMEOUT and _FAILED: a host may be newer than the binding here, which does not name them."""
AGENT_SILENT = frozenset(
    {libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED, COMMAND_TIMEOUT}
)
"""How libvirt says that an agent does not answer, or only what was asked of it before."""

JOB_OVER = (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN)
"""What a job's statistics and its abort answer when the job, or the guest with it, has just gone."""


class Unreadable(libvirt.libvirtError):  # type: ignore[misc]  # libvirt has no types
    """What a host has said is not what it was asked for. It is one of libvirt's errors, as if nothing had been said."""

    def __init__(self, text: str) -> None:
        Exception.__init__(
            self, printable(text, MAX_REASON_CHARS)
        )  # libvirt's own would tell of its last error
        self.err = None


def is_lost(error: libvirt.libvirtError) -> bool:
    """Return whether the connection is what failed: libvirt reports a closed socket in several ways."""
    if error.get_error_code() in LOST or error.get_error_domain() == libvirt.VIR_FROM_RPC:
        return True
    return says_closed(error)


def says_closed(error: libvirt.libvirtError) -> bool:
    message = error.get_error_message() or ""
    return "client socket is closed" in message or "keepalive" in message


def is_gone(error: libvirt.libvirtError) -> bool:
    """Return whether the guest is not defined (any more): that is an answer."""
    return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def is_lost_with(connection: libvirt.virConnect, error: libvirt.libvirtError) -> bool:
    """Return whether the connection is what failed: not where it lives on, and could not carry an answer."""
    return is_lost(error) and (says_closed(error) or not connection.isAlive())


def note(host: HostRef, error: libvirt.libvirtError) -> None:
    """Log all that libvirt says, where it is said to somebody's request: the record keeps only the first sentence.

    What hosts say when nobody has asked for anything is logged by those who ask them all the time.
    """
    if "request_id" in get_contextvars():
        code, domain = error.get_error_code(), error.get_error_domain()
        parts = dict.fromkeys(
            filter(None, (str(error), error.get_str1(), error.get_str2(), error.get_str3()))
        )
        log.warning(
            "libvirt.error", host=host.name, code=code, domain=domain, text=printable(" | ".join(parts))
        )


def unavailable(host: HostRef, error: object) -> HypervisorUnavailable:
    """Return the fault for a host to which there is no way."""
    if isinstance(error, libvirt.libvirtError):
        note(host, error)
    return HypervisorUnavailable(
        message=f"{HypervisorUnavailable.template()} {host.name}: {error}", host=host.name
    )


def fault(host: HostRef, error: libvirt.libvirtError, *, asked: bool = False) -> DriverFault:
    """Return what `error` of `host` means to us; `asked`: it was only to say something.

    What a host does not say is not known: it is no verdict on what was asked about.
    """
    if is_lost(error):
        return unavailable(host, error)
    note(host, error)
    if asked:
        return HypervisorUnavailable(message=f"Host {host.name} does not say: {error}", host=host.name)
    if isinstance(error, Unreadable) or error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        message = f"Host {host.name} does not say what became of the guest: {error}"
        return HypervisorTimeout(message=message, host=host.name)
    return DriverFault(message=f"Host {host.name} refused: {error}", host=host.name)


@contextmanager
def ignore_libvirt_errors(*codes: int) -> Iterator[None]:
    """Let an error with one of these codes pass: what is already so need not be made so.

    Never one of a way that is lost: libvirt gives some of them the codes of what a host answers.
    """
    with suppress(Ignoring):
        try:
            yield
        except libvirt.libvirtError as error:
            if error.get_error_code() in codes and not is_lost(error):
                raise Ignoring from error
            raise


class Ignoring(Exception):
    """An error that was expected."""
