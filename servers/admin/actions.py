"""Actions: the task log, and each one's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.actions import registry
from servers.actions.base import known_steps
from servers.admin import badges, filters
from servers.admin.amounts import moment
from servers.admin.base import RecordAdmin
from servers.admin.buttons import Button, button_of
from servers.admin.caller import allows, context_for
from servers.admin.labels import label_of_slug, step_label
from servers.admin.site import console
from servers.admin.tags import took
from servers.admin.worker_health import worker_health
from servers.models import ActionRecord, Migration
from servers.states import ActionStatus, MigrationType


def steps_of(record: ActionRecord) -> list[dict[str, str]]:
    """Return the definition's steps, each with how far it is."""
    action = registry.get(record.slug)
    names = list(known_steps(action)) if action else list(record.begun)
    return [{"name": step_label(name), "state": step_state(record, name)} for name in names]


def step_state(record: ActionRecord, name: str) -> str:
    """Return whether a step is done, going on, was left unfinished, or has not begun."""
    if name in record.done:
        return "done"
    if name not in record.begun:
        return "not begun"
    return "not finished" if record.is_over else "going on"


def controls_of(record: ActionRecord, request: HttpRequest) -> list[Button]:
    """Return buttons for what can be done to the migration of an action that is going on."""
    move: Migration | None = record.migration
    if record.is_over or not record.exclusive or move is None or move.migration_type != MigrationType.LIVE:
        return []
    context = context_for(request)
    actions = [action for action in registry.values() if action.on_migration]
    return [button_of(action, record.server, context, move) for action in actions]


@admin.register(ActionRecord, site=console)
class ActionAdmin(RecordAdmin):
    """The task log: everything that anybody had done, newest first."""

    read_rule = "os_compute_api:os-instance-actions:list"
    owner_field = "server__project_id"
    list_display = ("what", "of_server", "state", "asked_by", "asked_at", "lasted", "error")
    list_filter = ("status", filters.OpenFilter, filters.ActionFilter, "door", "created_at")
    list_select_related = ("server",)
    search_fields = ("request_id", "server__name", "server__uuid", "user_name", "name")
    search_help_text = "server, user, request id"
    actions = None

    def get_urls(self) -> list[URLPattern]:
        live = path(
            "<uuid:record_id>/live/", self.admin_site.admin_view(self.live), name="servers_actionrecord_live"
        )
        return [live, *super().get_urls()]

    def find(self, request: HttpRequest, record_id: str) -> ActionRecord:
        """Return the action when the caller may see it. Raises Http404 or PermissionDenied."""
        if not allows(request, "os_compute_api:os-instance-actions:show"):
            raise PermissionDenied
        try:
            rows: QuerySet[ActionRecord] = self.get_queryset(request)
            return rows.select_related("server", "server__host", "migration", "image").get(pk=UUID(record_id))
        except (ActionRecord.DoesNotExist, ValueError) as error:
            raise Http404(f"There is no action {record_id}.") from error

    def page(self, request: HttpRequest, record: ActionRecord) -> dict[str, Any]:
        """Return what stands on the action's page."""
        name = label_of_slug(record.slug, record.name)
        sees_hosts = allows(request, "os_compute_api:os-instance-actions:events")
        seen = record.result if sees_hosts else {}
        return {
            "record": record,
            "result": {k: v for k, v in record.result.items() if k not in {"evidence", "repairs"}},
            "evidence": seen.get("evidence"),
            "repairs": seen.get("repairs"),
            "move": record.migration,
            "sees_moves": allows(request, "os_compute_api:os-migrations:index"),
            "steps": steps_of(record),
            "events": record.events.all(),
            "controls": controls_of(record, request),
            "sees_hosts": sees_hosts,
            "sees_details": allows(request, "os_compute_api:os-instance-actions:events:details"),
            "worker": worker_health() if record.status == ActionStatus.QUEUED else None,
            "announcement": f"{name} of {record.server.name}: {record.status}, {record.progress_percent} percent.",
        }

    def live(self, request: HttpRequest, record_id: UUID) -> HttpResponse:
        """Return the part of the page that may have changed."""
        record = self.find(request, str(record_id))
        return render(request, "admin/servers/action_live.html", self.page(request, record))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        record = self.find(request, object_id)
        title = f"{label_of_slug(record.slug, record.name)} of {record.server.name}"
        context = {**self.admin_site.each_context(request), **self.page(request, record), "title": title}
        return render(request, "admin/servers/action.html", {**context, "opts": self.opts})

    # -------------------------------------------------------------------------------------- columns

    @admin.display(description="action", ordering="slug")
    def what(self, record: ActionRecord) -> str:
        return label_of_slug(record.slug, record.name)

    @admin.display(description="server", ordering="server__name")
    def of_server(self, record: ActionRecord) -> SafeString:
        address = reverse("admin:servers_server_change", args=[record.server_id])
        return format_html('<a href="{}">{}</a>', address, record.server.name)

    @admin.display(description="status", ordering="status")
    def state(self, record: ActionRecord) -> SafeString:
        shown = badges.action_badge(record.status)
        if record.status != ActionStatus.RUNNING:
            return shown
        return format_html("{} {} %", shown, record.progress_percent)

    @admin.display(description="asked by", ordering="user_name")
    def asked_by(self, record: ActionRecord) -> SafeString:
        who = record.user_name or record.user_id
        return format_html('{} <span class="quiet">({})</span>', who, record.door)

    @admin.display(description="when", ordering="created_at")
    def asked_at(self, record: ActionRecord) -> SafeString | str:
        return moment(record.created_at)

    @admin.display(description="took")
    def lasted(self, record: ActionRecord) -> str:
        return took(record)

    @admin.display(description="reason")
    def error(self, record: ActionRecord) -> str:
        return record.error_text
