"""Actions: the task log, and each one's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.actions import definitions, kinds, registry
from servers.actions.base import known_steps
from servers.admin import badges, filters, judgement
from servers.admin.buttons import Button, button_of
from servers.admin.caller import allows, context_for
from servers.admin.labels import label_of_slug, parameter_label, step_label
from servers.admin.migrations import MigrationAdmin
from servers.admin.pages import WatchedAdmin
from servers.admin.showing import sees, shown
from servers.admin.site import console
from servers.admin.tags import took
from servers.admin.times import moment
from servers.engine.execution.workers import worker_health
from servers.engine.visibility import visible_images
from servers.models import ActionRecord, Migration
from servers.states import ActionStatus, MigrationType


def params_of(record: ActionRecord, sees_hosts: bool) -> list[tuple[str, Any]]:
    """Return what was asked for, under the names of the form; what was left open is left out.

    A host is for who sees hosts, and so is what no definition knows any more.
    """
    action = definitions.get(record.slug)
    known = {p.name: p for p in action.parameters} if action else {}
    open_to_all = {name for name, p in known.items() if not isinstance(p.kind, kinds.HostName)}
    return [
        (parameter_label(known[name]) if name in known else name, value)
        for name, value in record.params.items()
        if value is not None and (sees_hosts or name in open_to_all)
    ]


@dataclass(frozen=True)
class ShownStep:
    """A step of an action: how far it is, and when it began and ended."""

    name: str
    state: str
    started_at: datetime | None = None
    finished_at: datetime | None = None


def steps_of(record: ActionRecord) -> list[ShownStep]:
    """Return the definition's steps, each with how far it is."""
    action = definitions.get(record.slug)
    times = {step["name"]: step for step in record.steps}
    return [shown_step(record, name, times.get(name)) for name in (known_steps(action) if action else times)]


def shown_step(record: ActionRecord, name: str, times: dict[str, Any] | None) -> ShownStep:
    """Return a step as done, going on, where the action came to its end, or not begun."""
    if times is None:
        return ShownStep(step_label(name), "not begun")
    began = datetime.fromisoformat(times["began"])
    if times["ended"]:
        return ShownStep(step_label(name), "done", began, datetime.fromisoformat(times["ended"]))
    waits = record.status in {ActionStatus.QUEUED, ActionStatus.RUNNING}
    return ShownStep(step_label(name), "going on" if waits else record.status, began, record.finished_at)


def controls_of(record: ActionRecord, request: HttpRequest) -> list[Button]:
    """Return buttons for what can be done to the migration of an action that is going on."""
    move: Migration | None = record.migration
    if (
        record.is_over
        or judgement.is_waiting(record)
        or not record.exclusive
        or move is None
        or move.migration_type != MigrationType.LIVE
    ):
        return []
    context = context_for(request)
    actions = [action for action in registry.values() if action.on_migration]
    return [button_of(action, record.server, context, move) for action in actions]


@admin.register(ActionRecord, site=console)
class ActionAdmin(WatchedAdmin):
    """The task log: everything that anybody had done, newest first."""

    read_rule = "os_compute_api:os-instance-actions:list"
    show_rule = "os_compute_api:os-instance-actions:show"
    page_name = "action"
    related = ("server", "server__host", "migration", "image")
    owner_field = "server__project_id"
    list_display = ("what", "of_server", "state", "asked_by", "asked_at", "lasted", "error")
    list_filter = ("status", filters.OpenFilter, filters.ActionFilter, "door", "created_at")
    list_select_related = ("server",)
    search_fields = ("request_id", "server__name", "server__uuid", "user_name", "name")
    search_help_text = "server, user, request id"
    actions = None

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        judge = path("<uuid:key>/judge/", view(self.judge), name="servers_actionrecord_judge")
        return [judge, *super().get_urls()]

    def judge(self, request: HttpRequest, key: UUID) -> HttpResponse:
        """Show the evidence of an action that waits, or judge it."""
        return judgement.judge_page(request, self.admin_site, self.find(request, str(key)))

    def title_of(self, record: ActionRecord) -> str:
        return f"{label_of_slug(record.slug, record.name)} of {record.server.name}"

    def page(self, request: HttpRequest, record: ActionRecord) -> dict[str, Any]:
        """Return what stands on the action's page."""
        name = label_of_slug(record.slug, record.name)
        sees_hosts = sees(request, record, "source_host")
        may_judge = judgement.may_judge(request, record)
        images = visible_images(context_for(request))
        result: dict[str, Any] = shown(request, record).result
        return {
            "record": record,
            "image": images.filter(pk=record.image_id).first() if record.image_id else None,
            "result": {k: v for k, v in result.items() if k not in {"evidence", "repairs"}},
            "evidence": result.get("evidence") if may_judge else None,
            "repairs": result.get("repairs") if sees_hosts else None,
            "move": record.migration if allows(request, MigrationAdmin.show_rule) else None,
            "params": params_of(record, sees_hosts),
            "steps": steps_of(record),
            "waits_for_slot": bool(record.waits_for_host),
            "events": record.events.all(),
            "controls": controls_of(record, request),
            "waits": judgement.is_waiting(record),
            "may_judge": may_judge,
            "judgements": judgement.judgements_of(record) if may_judge else [],
            "sees_hosts": sees_hosts,
            "worker": worker_health() if record.status == ActionStatus.QUEUED else None,
            "announcement": f"{name} of {record.server.name}: {record.status}, {record.progress_percent} percent.",
        }

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
