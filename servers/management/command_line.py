"""The way in of manage.py: what keeps any command from its work is one sentence with an exit code, and no traceback."""

from __future__ import annotations

import errno
import json
import sys
from contextlib import suppress

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from servers.acting import process_acts, somebody_at_the_machine
from servers.errors import (
    DatabaseUnavailable,
    DeploymentDiffers,
    Refusal,
    ServiceUnavailable,
    StrangeDatabase,
    WrongSetting,
)
from servers.management import exit_codes
from servers.management.refusals import of_fault
from servers.outage import is_outage

SERVICES = {"serve", "work"}
"""Commands that act for whoever asks them, and else for nobody."""
OF_THE_DISK = {errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""What a file system says that is full, broken, or not to be written."""


def execute(arguments: list[str]) -> None:
    """Do what Django's own does. Raises SystemExit, and whatever is nobody's outage."""
    if set(arguments[1:2]).isdisjoint(SERVICES):
        process_acts(somebody_at_the_machine(" ".join(["manage.py", *arguments[1:2]])))
    try:
        execute_from_command_line(arguments)
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        say(fault, as_json=wants_json(arguments))
        sys.exit(exit_codes.of_fault(fault))


def fault_of(error: Exception) -> Refusal | None:
    """Return what an error says of a setting, the database or the disk, None where it says nothing of them."""
    if isinstance(error, StrangeDatabase | DeploymentDiffers):
        return error
    if isinstance(error, ImproperlyConfigured):
        return WrongSetting(reason=one_line(error))
    if is_outage(error):
        return DatabaseUnavailable(f"{DatabaseUnavailable()} {one_line(error)}".rstrip())
    if isinstance(error, OSError) and error.errno in OF_THE_DISK:
        where = f" {error.filename}" if error.filename else ""
        return ServiceUnavailable(f"A file cannot be used:{where}: {error.strerror}")
    return None


def one_line(error: Exception) -> str:
    """Return what the driver says, which may be several lines."""
    return " ".join(str(error).split())


def say(fault: Refusal, *, as_json: bool) -> None:
    """Say what is the matter, where it can be said."""
    with suppress(OSError):
        if as_json:
            print(json.dumps(of_fault(fault, exit_codes.of_fault(fault)), indent=2))
        else:
            print(fault, file=sys.stderr)


def wants_json(arguments: list[str]) -> bool:
    """Return whether a command was asked for JSON and nothing else, in any of the ways in which one can be."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        word in {"--json", "--format=json"} or (word, after) == ("--format", "json") for word, after in pairs
    )
