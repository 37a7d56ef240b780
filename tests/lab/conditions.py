"""Whether this machine can run the lab."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec

THERE = find_spec("libvirt") is not None and find_spec("lxml") is not None
"""libvirt-python is an extra."""
PROGRAMS = ("libvirtd", "qemu-system-x86_64", "qemu-img", "ip", "nsenter", "unshare", "setpriv")
SPACES = ["unshare", "--uts", "--mount", "--net", "--pid", "--fork", "true"]


def missing() -> str:
    """Return why the tests cannot run, or nothing."""
    if not os.environ.get("LAB"):
        return "two libvirt hosts are started by: make lab"
    if not THERE:
        return "libvirt-python is not installed"
    if os.geteuid() != 0:
        return "the lab's hosts need root"
    if absent := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"not installed: {', '.join(absent)}"
    if subprocess.run(SPACES, capture_output=True, check=False).returncode:
        return "this machine lets nobody make namespaces (CAP_SYS_ADMIN, CAP_NET_ADMIN)"
    return ""
