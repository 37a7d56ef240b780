"""Migrations: moves from host to host, and each one's page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.actions import registry
from servers.admin import badges
from servers.admin.buttons import button_of
from servers.admin.caller import allows, context_for
from servers.admin.pages import WatchedAdmin
from servers.admin.site import console
from servers.admin.tags import milliseconds, took
from servers.admin.times import moment
from servers.engine.visibility import MIGRATION_HOST
from servers.models import Migration
from servers.states import MIGRATION_OVER, MigrationType


@admin.register(Migration, site=console)
class MigrationAdmin(WatchedAdmin):
    """Moves from host to host, newest first."""

    read_rule = show_rule = "os_compute_api:os-migrations:index"
    page_name = "migration"
    related = ("server", "server__host")
    owner_field = "server__project_id"
    list_filter = ("status", "migration_type", "source_compute", "dest_compute", "created_at")
    list_select_related = ("server",)
    search_fields = ("uuid", "server__name", "server__uuid")
    search_help_text = "server, UUID"
    actions = None

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        hosts = ["route"] if allows(request, MIGRATION_HOST) else []
        return ["number", "of_server", "kind", "state", *hosts, "began", "lasted", "pause"]

    def title_of(self, move: Migration) -> str:
        return f"Migration {move.pk} of {move.server.name}"

    def page(self, request: HttpRequest, move: Migration) -> dict[str, Any]:
        """Return what stands on the migration's page."""
        controls = [a for a in registry.values() if a.on_migration] if move.is_live_in_progress else []
        return {
            "move": move,
            "is_over": move.status in MIGRATION_OVER,
            "polls": move.status not in MIGRATION_OVER and move.status != "finished",
            "records": move.actions.select_related("server").order_by("created_at"),
            "controls": [button_of(a, move.server, context_for(request), move) for a in controls],
            "announcement": f"Migration {move.pk} of {move.server.name}: {move.status}, {move.progress_percent} percent.",
        }

    # -------------------------------------------------------------------------------------- columns

    @admin.display(description="number", ordering="id")
    def number(self, move: Migration) -> str:
        return f"{move.pk}"

    @admin.display(description="server", ordering="server__name")
    def of_server(self, move: Migration) -> SafeString:
        address = reverse("admin:servers_server_change", args=[move.server_id])
        return format_html('<a href="{}">{}</a>', address, move.server.name)

    @admin.display(description="type", ordering="migration_type")
    def kind(self, move: Migration) -> str:
        return "live" if move.migration_type == MigrationType.LIVE else "cold"

    @admin.display(description="status", ordering="status")
    def state(self, move: Migration) -> SafeString:
        return badges.migration_badge(move.status)

    @admin.display(description="route")
    def route(self, move: Migration) -> str:
        return f"{move.source_compute} → {move.dest_compute or '?'}"

    @admin.display(description="began", ordering="created_at")
    def began(self, move: Migration) -> SafeString | str:
        return moment(move.created_at)

    @admin.display(description="took")
    def lasted(self, move: Migration) -> str:
        return took(move)

    @admin.display(description="downtime", ordering="downtime_ms")
    def pause(self, move: Migration) -> str:
        return milliseconds(move.downtime_ms) if move.downtime_ms is not None else "–"
