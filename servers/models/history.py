"""Who changed hosts, users, projects, memberships and application credentials: when, what, and through which door.

Servers, migrations and actions are not among them: their actions are their history.
"""

from __future__ import annotations

from django.db import models
from simple_history import register
from simple_history.models import HistoricalRecords

from servers.models.host import Host
from servers.models.identity import ApplicationCredential, Membership, Project, User

STAMP = ["security_stamp"]
NEVER_SHOWN = ["password", "last_login", *STAMP]
NEVER_KEPT = ["secret_hash", "memberships"]
NO_CHANGES = ["heartbeat_at", "generation", "updated_at"]
"""What the engine writes all the time."""


def current_door() -> str:
    """Return through which door the change that is being written has come."""
    request = getattr(HistoricalRecords.context, "request", None)
    if request is None:
        return "command"
    return "console" if request.path_info.startswith("/admin/") else "rest"


def current_user() -> str:
    """Return the name of whoever makes the change; it outlives the user, who may be known to Keystone alone."""
    request = getattr(HistoricalRecords.context, "request", None)
    if request is None:
        return ""
    name: str = request.user.get_username() or request.META.get("REMOTE_USER", "")
    return name


class Change(models.Model):
    """What is kept of every change besides the row as it was afterwards."""

    who = models.CharField(max_length=255, default=current_user, editable=False)
    door = models.CharField(max_length=16, default=current_door, editable=False)

    class Meta:
        abstract = True


register(Host, app="servers", bases=[Change], excluded_fields=NO_CHANGES)
register(User, app="servers", bases=[Change], excluded_fields=NEVER_SHOWN)
register(Project, app="servers", bases=[Change], excluded_fields=STAMP)
register(Membership, app="servers", bases=[Change])
register(ApplicationCredential, app="servers", bases=[Change], excluded_fields=NEVER_KEPT)
