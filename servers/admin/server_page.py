"""What stands on a server's page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from servers.admin.buttons import buttons_of
from servers.admin.caller import context_for
from servers.admin.showing import sees
from servers.engine.visibility import shows_fault, visible_images
from servers.models import ActionRecord, Divergence, Project, Server, User
from servers.states import OPEN_ACTION_STATUSES

TIMELINE = 15
BACKUPS = 20


def live_part(request: HttpRequest, server: Server) -> dict[str, Any]:
    """Return what may change while somebody looks: state, buttons, what is going on."""
    open_actions = server.actions.filter(status__in=OPEN_ACTION_STATUSES).select_related("migration")
    going_on = list(open_actions.order_by("created_at"))
    return {
        "server": server,
        "buttons": buttons_of(server, context_for(request)),
        "going_on": going_on,
        "shows_fault": shows_fault(server),
        "announcement": announcement(server, going_on),
    }


def announcement(server: Server, going_on: list[ActionRecord]) -> str:
    """Return what a screen reader is told, in a sentence."""
    if not going_on:
        return f"{server.name} is {server.status}; nothing is going on."
    record = going_on[0]
    return f"{server.name}: {record.name} is {record.status}, {record.progress_percent} percent."


def whole_page(request: HttpRequest, server: Server) -> dict[str, Any]:
    """Return everything on the page."""
    sees_host = sees(request, server, "host")
    timeline = server.actions.order_by("-created_at", "-uuid").prefetch_related("events")[:TIMELINE]
    backups = visible_images(context_for(request)).filter(instance_uuid=server.pk)
    return {
        **live_part(request, server),
        "project": Project.objects.filter(pk=server.project_id).first(),
        "owner": User.objects.filter(pk=server.user_id).first(),
        "disks": server.disks.select_related("pool"),
        "interfaces": server.interfaces.all(),
        "timeline": timeline,
        "backups": backups.order_by("-created_at")[:BACKUPS],
        "sees_hosts": sees_host,
        "zone": server.zone,
        "divergences": Divergence.objects.unrepaired().filter(server=server) if sees_host else [],
    }
