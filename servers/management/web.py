"""Gunicorn's configuration under `manage.py up`: it does not outlive whoever started it."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings

from servers.supervisor.processes import end_with_parent

_parent = os.getppid()
logconfig_dict = settings.LOGGING
"""Gunicorn's own lines have the form of all others."""


def on_starting(server: Any) -> None:
    """Watch the parent, as soon as the master process is there."""
    end_with_parent(_parent)
