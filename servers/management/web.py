"""Gunicorn's configuration under `manage.py up`: it does not outlive whoever started it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from servers.supervisor.processes import end_with_parent

logconfig_dict = settings.LOGGING
"""Gunicorn's own lines have the form of all others."""

GRACE_S = 10.0
"""How long it may go on without whoever started it: longer than gunicorn's own grace."""


def on_starting(server: Any) -> None:
    """Watch the parent, as soon as the master process is there."""
    end_with_parent(GRACE_S)
