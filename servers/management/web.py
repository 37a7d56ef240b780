"""Gunicorn's configuration under `manage.py up`: it does not outlive whoever started it."""

from __future__ import annotations

import os
from typing import Any

from servers.supervisor.processes import end_with_parent

_parent = os.getppid()


def on_starting(server: Any) -> None:
    """Watch the parent, as soon as the master process is there."""
    end_with_parent(_parent)
