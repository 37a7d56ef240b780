"""Runs a command in what a unit's sandbox is made of here, without systemd: `python -m tests.deploy.sandbox UNIT COMMAND…`.

Of the unit it keeps UMask, NoNewPrivileges, MemoryDenyWriteExecute, SystemCallFilter and RestrictAddressFamilies. What is
left of it, systemd alone can do.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

from tests.deploy.units import said

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 38, 65
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
EQUAL = 4


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`: which argument, how it is compared, and with what."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


def expanded(name: str) -> set[str]:
    """Return the system calls of a set of systemd's, or the one call itself."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "--no-pager", "syscall-filter", name]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(expanded(word) for word in words if word and not word.startswith("#")))


def allowed(unit: Path) -> set[str]:
    """Return the system calls that a unit's filters leave, read in order as systemd does."""
    found: set[str] = set()
    for line in said(unit, "SystemCallFilter"):
        calls = set().union(*(expanded(word) for word in line.lstrip("~").split()))
        found = found - calls if line.startswith("~") else found | calls
    return found


def confine(unit: Path) -> None:
    """Let this process, and whatever it starts, do only what the unit allows."""
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = ctypes.CDLL(find_library("seccomp"))
    seccomp.seccomp_init.restype = ctypes.c_void_p
    calls = allowed(unit)
    os.umask(int(said(unit, "UMask")[0], 8))
    if "yes" in said(unit, "MemoryDenyWriteExecute"):
        require(libc.prctl(PR_SET_MDWE, 1, 0, 0, 0))
    require(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE | errno.EPERM))
    for call in calls - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            require(seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None))
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in said(unit, "RestrictAddressFamilies")[0].split():
        one = Comparison(0, EQUAL, int(getattr(socket, family)), 0)
        require(seccomp.seccomp_rule_add_array(context, ALLOW, number, 1, ctypes.byref(one)))
    require(seccomp.seccomp_load(context))


def require(result: int) -> None:
    """Do nothing where a call of C has succeeded. Raises OSError otherwise."""
    if result:
        raise OSError(ctypes.get_errno() or -result, "the sandbox cannot be made")


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
