"""Who carries actions out, and which ones now."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from servers.admin.base import RecordAdmin
from servers.admin.showing import render
from servers.admin.site import console
from servers.deployment.members import members
from servers.engine.execution.workers import RULE, at_work
from servers.models import Worker


@admin.register(Worker, site=console)
class WorkerAdmin(RecordAdmin):
    """Supervisors of worker processes: one page, and none of a single one."""

    read_rule = RULE

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Workers",
            "workers": at_work(),
            "members": members(),
        }
        return render(request, "admin/servers/workers.html", context)
