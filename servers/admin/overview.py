"""The first page: what runs now, what failed today, which hosts are in trouble, who does the work."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from servers.admin.attention import needs_attention
from servers.admin.caller import allows, context_for
from servers.engine.execution.workers import RULE as WORKERS
from servers.engine.execution.workers import worker_health
from servers.engine.judgement.cases import visible_actions, waiting
from servers.engine.visibility import HYPERVISORS, visible_servers
from servers.models import ActionRecord, Host
from servers.policy import Context
from servers.states import OPEN_ACTION_STATUSES, ActionStatus, TaskState, VmState, server_status

ROWS = 10


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return what stands on the page, as far as the caller may see it."""
    context = context_for(request)
    sees_hosts = allows(request, HYPERVISORS)
    actions = visible_actions(ActionRecord.objects.select_related("server"), context)
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    failed = actions.filter(status=ActionStatus.FAILED, finished_at__gte=today)
    open_now = actions.filter(status__in=OPEN_ACTION_STATUSES, stalled_at=None)
    return {
        "waiting": list(visible_actions(waiting(), context)[: ROWS + 1]),
        "running": list(open_now.order_by("-created_at")[: ROWS + 1]),
        "failed": list(failed.order_by("-finished_at")[: ROWS + 1]),
        "recent": list(actions.order_by("-created_at")[:ROWS]),
        "states": states_count(context),
        "sees_hosts": sees_hosts,
        "troubled": troubled_hosts() if sees_hosts else [],
        "attention": needs_attention() if sees_hosts else None,
        "worker": worker_health(),
        "sees_workers": allows(request, WORKERS),
    }


def states_count(context: Context) -> list[dict[str, Any]]:
    """Return how many servers show each status, most first."""
    servers = visible_servers(context).filter(deleted_at=None).order_by()
    counts: dict[str, dict[str, Any]] = {}
    for row in servers.values("vm_state", "task_state").annotate(count=Count("pk")):
        status = server_status(VmState(row["vm_state"]), TaskState(row["task_state"]))
        line = counts.setdefault(status, {"status": status, "vm_state": row["vm_state"], "count": 0})
        line["count"] += row["count"]
    return sorted(counts.values(), key=lambda line: -line["count"])


def troubled_hosts() -> list[Host]:
    """Return hosts that do not answer, or take no servers."""
    return [host for host in Host.objects.order_by("name") if not host.is_up or not host.enabled]
