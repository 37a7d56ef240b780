"""A word to whoever runs Gantry as root, which it needs nowhere."""

from __future__ import annotations

import os

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

REMEDY = "docs/least-right.md says how it runs as users of its own; ALLOW_ROOT=true says that root is meant"


def is_root_unmeant() -> bool:
    """Return whether this process runs as root, and ALLOW_ROOT does not say that it is meant to."""
    return os.geteuid() == 0 and not settings.ALLOW_ROOT


def warn_of_root() -> None:
    """Log that this process has more rights than it needs, if it has."""
    if is_root_unmeant():
        log.warning("process.runs_as_root", remedy=REMEDY)
